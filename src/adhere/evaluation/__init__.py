"""From prompts to an honest table: prompt sets as data, and what a picture should hold."""
