"""Which methods each table of the paper compares, and at which sizes it measured."""

from dataclasses import dataclass
from typing import Literal

from glnet.geometry import Size
from glnet.reproduction.methods import METHODS, NAMES, Method
from glnet.reproduction.paper import PaperRow, PaperTable, Way, paper_table

SIZES: dict[Literal["deepglobe", "isic", "inria"], tuple[Size, int]] = {
    "deepglobe": (Size(2448, 2448), 7),
    "isic": (Size(4499, 6748), 2),
    "inria": (Size(5000, 5000), 2),
}
"""The largest image of each dataset (Table 1), and its classes."""


@dataclass(frozen=True)
class Shown:
    """A row of a table: a method, and the paper's row of it, if it has one."""

    method: Method
    paper: PaperRow | None = None


@dataclass(frozen=True)
class Comparison:
    """A table of the paper.

    Attributes:
        paper: Its numbers.
        rows: What is trained and measured.
    """

    paper: PaperTable
    rows: tuple[Shown, ...]


def _glnets(number: int, *keys: str) -> Comparison:
    table = paper_table(number)
    return Comparison(table, tuple(Shown(METHODS[key], table.find(key)) for key in keys))


def _table_3() -> Comparison:
    table = paper_table(3)
    ways: tuple[tuple[str, Way], ...] = (("patches", "patches"), ("whole", "whole image"))
    compared = [
        Shown(METHODS[f"{network}_{sees}"], table.find(network, way))
        for sees, way in ways
        for network in NAMES
    ]
    glnets = [
        Shown(METHODS["deep"], table.find("glnet_deep")),
        Shown(METHODS["bidirectional"], table.find("glnet")),
    ]
    return Comparison(table, (*compared, *glnets))


def _others(number: int, glnet: str, sees: tuple[Literal["patches", "whole"], ...]) -> Comparison:
    """Tables 5 and 7; where the paper does not say what its networks saw, its row is beside all."""
    table = paper_table(number)
    compared = [
        Shown(METHODS[f"{row.key}_{way}"], row)
        for row in table.rows
        if row.key != "glnet"
        for way in sees
    ]
    return Comparison(table, (*compared, Shown(METHODS[glnet], table.find("glnet"))))


GLNET_ROWS = ("local_only", "global_only", "aggregation", "regularization", "shallow", "deep")

COMPARISONS = {
    "table2": _glnets(2, *GLNET_ROWS, "bidirectional"),
    "table3": _table_3(),
    "table4": _glnets(
        4,
        *("global_only", "global_only_boxes", "local_only", "local_only_boxes"),
        *("deep", "deep_boxes", "bidirectional", "bidirectional_boxes"),
    ),
    "table5": _others(5, "bidirectional_boxes", ("whole",)),
    "table6": _glnets(6, "global_only", "local_only", "bidirectional"),
    "table7": _others(7, "bidirectional", ("patches", "whole")),
}
"""Tables 2 to 7, by what is typed."""
