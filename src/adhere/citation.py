"""BibTeX of what was used."""

from adhere.methods.base import Method
from adhere.methods.weighted_sum import WeightedSum
from adhere.nursing.trace import Trace


def cite(*used: Trace | Method | type[Method]) -> str:
    """BibTeX entries of the papers behind methods, each once, in the order of their use.

    Args:
        used: methods, their classes, or the traces of runs.

    Returns:
        The entries, a blank line between them; empty for methods without a paper.
    """
    entries: dict[str, None] = {}
    for item in used:
        for method in item.methods if isinstance(item, Trace) else (item,):
            parts = [m for _, m in method.terms] if isinstance(method, WeightedSum) else [method]
            entries |= {part.bibtex: None for part in parts if part.bibtex}
    return "\n\n".join(entries)
