"""From prompts to an honest table: prompt sets as data, and what an image should hold."""
