"""`adhere cite`: the BibTeX of methods."""

from __future__ import annotations


def cite(methods: list[str] | None = None) -> None:
    """Print the BibTeX of the methods named, or of all.

      adhere cite attend-and-excite

    Args:
        methods: names of methods.
    """
    from adhere.citation import cite as bibtex_of
    from adhere.errors import unknown
    from adhere.methods import METHODS

    for name in methods or ():
        if name not in METHODS:
            raise unknown("method", name, METHODS)
    entries = bibtex_of(*(METHODS[name] for name in methods or METHODS))
    print(entries or f"{', '.join(methods or ())} has no paper to cite.")
