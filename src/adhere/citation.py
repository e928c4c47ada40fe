"""BibTeX of what was used."""

from adhere.errors import unknown
from adhere.methods import METHODS
from adhere.methods.base import Method
from adhere.methods.weighted_sum import WeightedSum
from adhere.nursing.trace import Trace


def cite(*used: str | Trace | Method | type[Method]) -> str:
    """BibTeX entries of the papers behind methods, each once, in the order of their use.

    Args:
        used: methods, their classes or names, or the traces of runs.

    Returns:
        The entries, a blank line between them; empty for methods without a paper.

    Raises:
        ValueError: an unknown name, or what is none of these.
    """
    entries: dict[str, None] = {}
    for item in used:
        for method in item.methods if isinstance(item, Trace) else (_method(item),):
            parts = [m for _, m in method.terms] if isinstance(method, WeightedSum) else [method]
            entries |= {part.bibtex: None for part in parts if part.bibtex}
    return "\n\n".join(entries)


def _method(given: object) -> Method | type[Method]:
    """A method, its class, or the class that a name means."""
    if isinstance(given, str):
        if given not in METHODS:
            raise unknown("method", given, METHODS)
        return METHODS[given]
    if isinstance(given, Method) or (isinstance(given, type) and issubclass(given, Method)):
        return given
    raise ValueError(
        f"Got {type(given).__name__} to cite; give methods, their names, or the traces of runs, "
        "each as an argument of its own."
    )
