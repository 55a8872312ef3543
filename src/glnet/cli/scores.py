"""The table of an evaluation: a row per answer, a column per class."""

from collections.abc import Mapping
from io import StringIO

from rich.console import Console
from rich.table import Table

TITLES = {"global": "global branch", "local": "local branch", "aggregated": "GLNet"}


def score_table(evaluation: Mapping[str, object]) -> str:
    """Percentages of an evaluation's ``to_dict``, for people."""
    answers = evaluation["answers"]
    assert isinstance(answers, Mapping)
    classes = list(next(iter(answers.values()))["iou"])
    table = Table(title="intersection over union, %", title_justify="left")
    for title in ("answer", "mIoU", "accuracy", *classes):
        table.add_column(title, justify="left" if title == "answer" else "right")
    for name, score in answers.items():
        cells = [score["mean_iou"], score["accuracy"], *(score["iou"][of] for of in classes)]
        table.add_row(TITLES.get(name, name), *(_percent(value) for value in cells))
    sheet = Console(file=StringIO(), width=max(80, 24 + 14 * (len(classes) + 2)))
    sheet.print(table)
    text = sheet.file.getvalue()  # type: ignore[attr-defined]
    return str(text).rstrip()


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
