"""Make text-to-image diffusion models adhere to the prompt."""
