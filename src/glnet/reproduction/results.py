"""Rows of results, and the columns that they may have."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from glnet.errors import ConfigurationError
from glnet.reproduction.paper import PaperRow

MIOU, PAPER_MIOU = "mIoU (%)", "paper mIoU (%)"
ESTIMATED, MEASURED = "memory, estimated (MB)", "memory, measured (MB)"
ALLOCATED = "memory, allocated (MB)"
PAPER_MEMORY = "paper memory (MB)"
PARAMETERS, MULTIPLY_ADDS = "parameters (M)", "multiply-adds (G)"
SPEED, DOWNSAMPLING = "megapixels/s", "downsampling"
AT_PAPER = "estimated at the paper's size (MB)"
SPREAD = "spread over seeds"

DECIMALS = {
    MIOU: 1,
    PAPER_MIOU: 1,
    SPREAD: 1,
    ESTIMATED: 0,
    ALLOCATED: 0,
    MEASURED: 0,
    AT_PAPER: 0,
    PAPER_MEMORY: 0,
    PARAMETERS: 1,
    MULTIPLY_ADDS: 1,
    SPEED: 2,
    DOWNSAMPLING: 2,
}
"""The usual columns in their order, and how many digits are shown behind the point."""

SHORT = {
    MIOU: "mIoU %",
    PAPER_MIOU: "paper's",
    ESTIMATED: "MB, est.",
    AT_PAPER: "at paper's size",
    PAPER_MEMORY: "paper's",
    SPEED: "MP/s",
}
"""Those that a terminal has room for, and what they are called there."""

NONE = "–"  # noqa: RUF001 - an en dash is meant.
QUICK = "quick run: not comparable with the paper"


@dataclass(frozen=True)
class ResultRow:
    """A row of results.

    Attributes:
        key: What recipes call it.
        label: What people call it.
        values: By column; None, a column that is not there, and what is not finite are shown as an
            en dash.
        skipped: Why there are no results, if there are none.
        note: What else there is to know, in one line.
    """

    key: str
    label: str
    values: Mapping[str, float | None]
    skipped: str = ""
    note: str = ""


@dataclass(frozen=True)
class ResultTable:
    """Rows of results, and what they are about.

    Attributes:
        title: Such as "Table 2: sharing of feature maps, DeepGlobe".
        about: What was run, in one paragraph.
        rows: At least one.
        columns: Which, in their order; by default those that a row names: the usual ones first.
        notes: What to know of all of it, a line each.
        is_quick: Whether the run was cut short, so that it says nothing about the paper.
        decimals: Digits behind the point, of columns that are not usual.

    Raises:
        ConfigurationError: If there are no rows or no columns, or two rows of one key.
    """

    title: str
    about: str
    rows: Sequence[ResultRow]
    columns: Sequence[str] = ()
    notes: Sequence[str] = ()
    is_quick: bool = False
    decimals: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.rows:
            raise ConfigurationError(f"{self.title}: expected at least one row, got none")
        keys = [row.key for row in self.rows]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise ConfigurationError(f"{self.title}: two rows are called {twice[0]}; rename one")
        if not self.columns:
            named = dict.fromkeys(name for row in self.rows for name in row.values)
            usual = [name for name in DECIMALS if name in named]
            others = [name for name in named if name not in DECIMALS]
            object.__setattr__(self, "columns", (*usual, *others))
        if not self.columns:
            raise ConfigurationError(f"{self.title}: no row names a column; give one values")

    def words(self, row: ResultRow, column: str) -> str:
        """A value as people read it; of one that would be shown as 0.0, two digits that count."""
        value = known(row, column)
        decimals = {**DECIMALS, **self.decimals}
        if value is None:
            return NONE
        if column not in decimals:
            return f"{value:.4g}"
        if 0 < abs(value) < 10 ** -decimals[column]:
            return f"{value:.2g}"
        return f"{value:.{decimals[column]}f}"


def known(row: ResultRow, column: str) -> float | None:
    """A value; None where there is none, or one that is no finite number."""
    value = row.values.get(column)
    return None if value is None or not math.isfinite(value) else value


def paper_values(row: PaperRow | None) -> dict[str, float | None]:
    """The paper's columns of a row; None in both where the paper has no such row."""
    if row is None:
        return {PAPER_MIOU: None, PAPER_MEMORY: None}
    return {PAPER_MIOU: row.miou, PAPER_MEMORY: row.memory}
