"""Sheets of images, and heat maps, drawn with Pillow."""

from adhere.figures.sheet import Label, heat, make_sheet, over
from adhere.figures.trace import trace_sheet

__all__ = ["Label", "heat", "make_sheet", "over", "trace_sheet"]
