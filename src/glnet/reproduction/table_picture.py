"""A table of results as a picture: bars for mIoU, the paper's beside ours, numbers in columns.

Why a row was skipped stands in it where there is room, else under the table.
"""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from glnet.reproduction.results import MIOU, NONE, PAPER_MIOU, QUICK, ResultRow, ResultTable, known
from glnet.reproduction.styling import GLNET, NEUTRAL, PALE, WORDS, blank_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOTS_PER_INCH = 150
FONT = 9.0
LETTER = 0.072
"""Inches that a letter of the font takes, about."""
BARS = 3.0
"""Inches of the bars."""
ROW, HEAD_LINE, TITLE, NOTE_LINE = 0.36, 0.16, 0.34, 0.15
"""Inches of a row, of a line of the head, of the title and of a line under the table."""
PADDING = 0.14
LONGEST_HEAD, LONGEST_REASON = 12, 52


def table_picture(table: ResultTable) -> bytes:
    """The table as PNG. Bars are drawn where a column is mIoU; what was skipped says why."""
    reasons, notes = _reasons(table)
    heads = {name: textwrap.wrap(name, LONGEST_HEAD) for name in _numbers(table)}
    bars = BARS if any(name in (MIOU, PAPER_MIOU) for name in table.columns) else 0.0
    labels = [row.label if bars else _label(row, reasons) for row in table.rows]
    left = LETTER * max(map(len, labels)) + 2.5 * PADDING
    widths = [_width(table, name, lines) for name, lines in heads.items()]
    lines = max([1, *map(len, heads.values())])
    top = TITLE * (2 if table.is_quick else 1) + HEAD_LINE * lines + PADDING
    title_width = 1.25 * LETTER * len(table.title) + 2 * PADDING
    width = max(left + bars + sum(widths) + PADDING, title_width)
    under = [line for note in notes for line in textwrap.wrap(note, int(width / LETTER))]
    height = top + ROW * len(table.rows) + PADDING + NOTE_LINE * len(under)
    figure = blank_figure((width, height))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)  # inches from the upper left corner
    axes.axis("off")
    _write_title(axes, table)
    axes.axhline(top - PADDING / 2, PADDING / width, 1 - PADDING / width, color="0.2", lw=0.8)
    if bars:
        _draw_bars(axes, table, reasons, left, top)
    left += bars
    for (name, words), column in zip(heads.items(), widths, strict=True):
        left += column
        axes.text(left - PADDING, top - PADDING, "\n".join(words), va="bottom", ha="right",
                  fontsize=FONT - 1, color=WORDS)  # fmt: skip
        for number, row in enumerate(table.rows):
            place = (left - PADDING, top + ROW * (number + 0.5))
            axes.text(*place, table.words(row, name), va="center", ha="right", fontsize=FONT)
    for number, label in enumerate(labels):
        middle = top + ROW * (number + 0.5)
        axes.text(PADDING, middle, label, va="center", fontsize=FONT)
        axes.axhline(middle + ROW / 2, PADDING / width, 1 - PADDING / width, color="0.93", lw=0.6)
    axes.text(PADDING, height - PADDING / 2, "\n".join(under), va="bottom", fontsize=FONT - 2,
              color=WORDS, linespacing=1.3)  # fmt: skip
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DOTS_PER_INCH)
    return content.getvalue()


def _numbers(table: ResultTable) -> list[str]:
    """The columns that are no bars."""
    return [name for name in table.columns if name not in (MIOU, PAPER_MIOU)]


def _width(table: ResultTable, name: str, head: Sequence[str]) -> float:
    longest = max(len(words) for words in (*head, *(table.words(row, name) for row in table.rows)))
    return LETTER * longest + 2 * PADDING


def _write_title(axes: "Axes", table: ResultTable) -> None:
    axes.text(PADDING, TITLE / 2, table.title, va="center", fontsize=FONT + 2, weight="bold")
    if table.is_quick:
        axes.text(PADDING, 1.4 * TITLE, QUICK, va="center", fontsize=FONT, color=GLNET)


def _label(row: ResultRow, reasons: Mapping[str, str]) -> str:
    """What stands before a row; with bars, the reason for having none stands among them."""
    return f"{row.label} ({reasons[row.key]})" if row.skipped else row.label


def _reasons(table: ResultTable) -> tuple[dict[str, str], list[str]]:
    """What stands in the skipped rows, by their keys, and what stands under the table."""
    reasons: dict[str, str] = {}
    notes: list[str] = []
    for row in table.rows:
        whole = " ".join(f"skipped: {row.skipped}".split())
        if row.skipped and len(whole) > LONGEST_REASON:
            notes.append(f"({len(notes) + 1}) {row.label}, {whole}")
            whole = f"skipped, see ({len(notes)})"
        reasons[row.key] = whole
    return reasons, notes


def _draw_bars(
    axes: "Axes", table: ResultTable, reasons: Mapping[str, str], left: float, top: float
) -> None:
    """Two bars per row, ours above the paper's, from 0 on; as long as the largest needs."""
    room = BARS - 6 * LETTER
    values = [known(row, name) or 0.0 for row in table.rows for name in (MIOU, PAPER_MIOU)]
    scale = room / max(*values, 1e-9)
    for number, (name, color) in enumerate(((MIOU, NEUTRAL), (PAPER_MIOU, PALE))):
        if name in table.columns:
            side = left + number * 0.32 * BARS
            axes.text(side + 0.13, top - PADDING, name, va="bottom", fontsize=FONT - 1, color=WORDS)
            axes.barh(top - PADDING - 0.06, 0.09, 0.09, left=side, color=color, lw=0)
    for number, row in enumerate(table.rows):
        middle = top + ROW * (number + 0.5)
        ours = GLNET if row.label.startswith("GLNet") else NEUTRAL
        if row.skipped:
            place = (left, middle - ROW / 5)
            axes.text(*place, reasons[row.key], va="center", fontsize=FONT - 2, color=WORDS)
        else:
            _bar(axes, known(row, MIOU), scale, (left, middle - ROW / 5), ours)
        if PAPER_MIOU in table.columns:
            _bar(axes, known(row, PAPER_MIOU), scale, (left, middle + ROW / 5), PALE)


def _bar(
    axes: "Axes", value: float | None, scale: float, place: tuple[float, float], color: str
) -> None:
    left, middle = place
    if value is not None:
        axes.barh(middle, scale * value, ROW / 3, left=left, color=color, lw=0)
    words = NONE if value is None else f"{value:.1f}"
    end = left + scale * (value or 0.0) + 0.04
    axes.text(end, middle, words, va="center_baseline", fontsize=FONT - 1.5)
