"""Lists of names in messages, cut where they get long."""

from collections.abc import Iterable

SHOWN = 5
"""How many names a message gives before it only counts the rest."""


def listing(names: Iterable[object]) -> str:
    """The first names and the number of the others: ``a, b, c, d, e and 7 more``."""
    words = [str(name) for name in names]
    shown = ", ".join(words[:SHOWN])
    rest = len(words) - SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown
