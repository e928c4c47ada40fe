"""`adhere cite`: the BibTeX of methods."""

from __future__ import annotations


def cite(methods: list[str] | None = None) -> None:
    """Print the BibTeX of the methods named, or of all.

      adhere cite attend-and-excite

    Args:
        methods: names of methods.
    """
    from adhere.citation import cite as bibtex_of
    from adhere.methods import METHODS

    entries = bibtex_of(*(methods or METHODS))
    print(entries or f"{', '.join(methods or ())}: no paper to cite.")
