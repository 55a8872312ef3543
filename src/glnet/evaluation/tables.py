"""The numbers of an evaluation as tables of words, for a terminal or a page.

Nothing here imports more than Python, so that commands can before they know what is asked of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

TITLES = {
    "coarse": "coarse branch",
    "global": "global branch",
    "local": "local branch",
    "aggregated": "GLNet",
}
"""What people read for an answer."""


class Table(NamedTuple):
    """Words in rows under a head.

    The first ``labels`` columns say what a row is about, the last ``remarks`` what else there is to
    say of it; those between are numbers.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int = 1
    remarks: int = 0


def tables_of(evaluation: Mapping[str, Any]) -> list[Table]:
    """Of an evaluation's ``to_dict``: its classes, then what its protocol adds to them.

    Answers are columns, since there are never more than a few; classes and cities may be many.
    """
    tables = [class_table(evaluation["answers"])]
    if evaluation.get("protocol", "generic") != "generic":
        tables.append(protocol_table(evaluation["protocol"], evaluation["figures"]))
    return tables


def class_table(answers: Mapping[str, Any]) -> Table:
    """IoU of every class in every answer, then the mean and the accuracy."""
    scores = list(answers.values())
    rows = [(name, *(percent(score["iou"][name]) for score in scores)) for name in scores[0]["iou"]]
    for title, key in (("mIoU", "mean_iou"), ("accuracy", "accuracy")):
        rows.append((title, *(percent(score[key]) for score in scores)))
    head = ("class", *_titles(answers))
    return Table("intersection over union, %", head, tuple(rows))


def protocol_table(protocol: str, figures: Mapping[str, Any]) -> Table:
    """The protocol's numbers: a row per place and figure, the place named once."""
    first = next(iter(figures.values()))
    rows = [
        (place if number == 0 else "", name, *(percent(of[place][name]) for of in figures.values()))
        for place, values in first.items()
        for number, name in enumerate(values)
    ]
    head = ("", "figure", *_titles(figures))
    return Table(f"protocol {protocol}, %", head, tuple(rows), labels=2)


def image_table(ranked: Sequence[tuple[float, Mapping[str, Any]]], own: str) -> Table:
    """Every image with its score, the worst first."""
    rows = [
        (
            image["stem"],
            image["group"] or "",
            percent(score),
            percent(image["answers"][own]["mean_iou"]),
            percent(image["answers"][own]["accuracy"]),
        )
        for score, image in ranked
    ]
    head = ("image", "group", "score", "mIoU", "accuracy")
    return Table(f"images, {TITLES.get(own, own)}, %", head, tuple(rows), labels=2)


def as_markdown(table: Table) -> str:
    """The table for a page; what would end a cell is kept from doing so."""
    numbers = len(table.head) - table.labels - table.remarks
    rule = [*["---"] * table.labels, *["---:"] * numbers, *["---"] * table.remarks]
    rows = [table.head, rule, *table.rows]
    lines = ["| " + " | ".join(_cell(word) for word in row) + " |" for row in rows]
    return "\n".join([f"## {table.title}", "", *lines, ""])


def percent(value: float | None) -> str:
    """A share as people read it; a dash where there is none."""
    return "-" if value is None or value != value else f"{100 * value:.1f}"  # noqa: PLR0124 - NaN


def _titles(answers: Mapping[str, Any]) -> list[str]:
    return [TITLES.get(name, name) for name in answers]


def _cell(word: str) -> str:
    return " ".join(word.split()).replace("|", "\\|")
