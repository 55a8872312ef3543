"""Tables of an evaluation, as a terminal of 80 columns shows them."""

from collections.abc import Mapping
from typing import Any

from glnet.cli.console import drawn
from glnet.evaluation import tables


def score_table(evaluation: Mapping[str, Any]) -> str:
    """Percentages of an evaluation's ``to_dict``, for people."""
    return "\n\n".join(drawn(table) for table in tables.tables_of(evaluation))
