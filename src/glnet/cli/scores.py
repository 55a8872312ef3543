"""Tables of an evaluation, as a terminal of 80 columns shows them."""

from collections.abc import Mapping
from io import StringIO
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from glnet.evaluation import tables

WIDTH = 80


def score_table(evaluation: Mapping[str, Any]) -> str:
    """Percentages of an evaluation's ``to_dict``, for people."""
    return "\n\n".join(_drawn(table) for table in tables.tables_of(evaluation))


def _drawn(words: tables.Table) -> str:
    table = Table(title=words.title, title_justify="left")
    for number, title in enumerate(words.head):
        is_label = number < words.labels
        # Names are broken where there is no room, numbers never.
        table.add_column(
            title,
            justify="left" if is_label else "right",
            overflow="fold",
            min_width=None if is_label else 5,
        )
    for row in words.rows:
        table.add_row(*(Text(word) for word in row))
    sheet = StringIO()
    Console(file=sheet, width=WIDTH).print(table)
    return "\n".join(line.rstrip() for line in sheet.getvalue().rstrip().splitlines())
