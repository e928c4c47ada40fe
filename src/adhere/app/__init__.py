"""The page: a prompt, its subjects, and the image with and without nursing, in a browser."""

from adhere.app.serving import serve

__all__ = ["serve"]
