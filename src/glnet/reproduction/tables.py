"""A table of results beside the paper's: as a page, as comma-separated values, as a picture."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from glnet.errors import ConfigurationError
from glnet.evaluation.tables import Table, as_markdown
from glnet.training.following.files import write_whole

MIOU, PAPER_MIOU = "mIoU (%)", "paper mIoU (%)"
ESTIMATED, MEASURED = "memory, estimated (MB)", "memory, measured (MB)"
PAPER_MEMORY = "paper memory (MB)"
PARAMETERS, MULTIPLY_ADDS = "parameters (M)", "multiply-adds (G)"
SPEED, DOWNSAMPLING = "megapixels/s", "downsampling"

DECIMALS = {
    MIOU: 1,
    PAPER_MIOU: 1,
    ESTIMATED: 0,
    MEASURED: 0,
    PAPER_MEMORY: 0,
    PARAMETERS: 1,
    MULTIPLY_ADDS: 1,
    SPEED: 2,
    DOWNSAMPLING: 2,
}
"""The usual columns in their order, and how many digits are shown behind the point."""

NONE = "–"  # noqa: RUF001 - an en dash is meant.
QUICK = "quick run: not comparable with the paper"
PAGE, VALUES, PICTURE = "table.md", "table.csv", "table.png"


@dataclass(frozen=True)
class ResultRow:
    """A row of results.

    Attributes:
        key: What recipes call it.
        label: What people call it.
        values: By column; None, and a column that is not there, is shown as an en dash.
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
        """A value as people read it."""
        value = row.values.get(column)
        decimals = {**DECIMALS, **self.decimals}
        if value is None:
            return NONE
        return f"{value:.{decimals[column]}f}" if column in decimals else f"{value:.4g}"


def write_table(folder: Path, table: ResultTable) -> list[Path]:
    """Write ``table.md``, ``table.csv`` and ``table.png``, each whole; what is there is replaced.

    Everything is made before anything is written. The folder is made.

    Raises:
        OutputError: If a file cannot be written.
    """
    from glnet.reproduction.table_picture import table_picture  # noqa: PLC0415 - loads matplotlib

    contents: dict[str, bytes | str] = {
        PICTURE: table_picture(table),
        VALUES: table_values(table),
        PAGE: table_page(table),
    }
    for name, content in contents.items():
        write_whole(folder / name, content)
    return [folder / name for name in contents]


def table_page(table: ResultTable) -> str:
    """The table as Markdown: heading, what was run, the table, its picture, notes."""
    has_skipped = any(row.skipped for row in table.rows)
    head = ("", *table.columns, *(["remark"] if has_skipped else []))
    rows = []
    for row in table.rows:
        remark = [f"skipped: {row.skipped}" if row.skipped else ""] if has_skipped else []
        rows.append((row.label, *(table.words(row, name) for name in table.columns), *remark))
    warning = [f"**{_capital(QUICK)}.**", ""] if table.is_quick else []
    words = as_markdown(Table("Results", head, tuple(rows)))
    lines = [f"# {table.title}", "", *warning, " ".join(table.about.split()), "", words]
    lines += [f"![{table.title}]({PICTURE})", ""]
    notes = [" ".join(note.split()) for note in table.notes]
    notes += [f"{row.label}: {' '.join(row.note.split())}" for row in table.rows if row.note]
    if notes:
        lines += ["## Notes", "", *(f"- {note}" for note in notes), ""]
    return "\n".join(lines)


def table_values(table: ResultTable) -> str:
    """The table as comma-separated values, with all digits; empty where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["key", "label", *table.columns, "skipped", "note", "quick run"])
    for row in table.rows:
        values = [row.values.get(name) for name in table.columns]
        shown = ["" if value is None else repr(float(value)) for value in values]
        is_quick = "yes" if table.is_quick else "no"
        writer.writerow([row.key, row.label, *shown, row.skipped, row.note, is_quick])
    return text.getvalue()


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
