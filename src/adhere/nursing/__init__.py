"""Nursing a pipeline while it samples."""

from adhere.nursing.block import nurse

__all__ = ["nurse"]
