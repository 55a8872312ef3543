"""What took part in an answer, as Table 2 of the paper marks it."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from glnet.evaluation.report import Evaluation, Score
from glnet.model.config import Architecture
from glnet.reporting.evaluations import Evaluated
from glnet.reporting.parsed import Node
from glnet.reporting.sections import NOTHING, YES, bars_of, colors_of, heats_of, table_two
from tests.model.tiny import ARCHITECTURES

SCORE = Score({"a": 0.25, "b": None}, 0.25, 0.5)


def evaluated(*answers: str) -> Evaluated:
    return Evaluated(Path(), Evaluation(1, 4, dict.fromkeys(answers, SCORE)), None)


def marks(architecture: Architecture, weight: float | None, *answers: str) -> list[list[str]]:
    """The marks of every answer, from Agg to the memory."""
    node = Node(asdict(architecture), Path("config.yaml"))
    return [list(row[1:]) for row in table_two(evaluated(*answers), node, weight).rows]


@pytest.mark.parametrize(
    ("row", "weight", "expected"),
    [
        ("aggregation only", 0.0, [["", "", "", ""], ["", "", "", ""], [YES, "", "", ""]]),
        ("aggregation only", 0.15, [["", "", "", ""], ["", YES, "", ""], [YES, YES, "", ""]]),
        (
            "shallow",
            0.15,
            [["", "", "", ""], ["", YES, "shallow", ""], [YES, YES, "shallow", ""]],
        ),
        ("deep", 0.15, [["", "", "", ""], ["", YES, "deep", ""], [YES, YES, "deep", ""]]),
        (
            "bidirectional",
            0.15,
            [["", "", "", "deep"], ["", YES, "deep", ""], [YES, YES, "", "deep"]],
        ),
        ("deep", None, [["", "", "", ""], ["", NOTHING, "deep", ""], [YES, NOTHING, "deep", ""]]),
    ],
)
def test_rows_are_marked_as_in_table_two(
    row: str, weight: float | None, expected: list[list[str]]
) -> None:
    found = marks(ARCHITECTURES[row], weight, "global", "local", "aggregated")

    assert found == [[*of, "25.0", NOTHING] for of in expected]


@pytest.mark.parametrize("row", ["local only", "global only"])
def test_a_branch_alone_has_no_marks(row: str) -> None:
    answer = row.split(maxsplit=1)[0]

    assert marks(ARCHITECTURES[row], 0.15, answer) == [["", "", "", "", "25.0", NOTHING]]


def test_a_compared_network_is_named() -> None:
    architecture = replace(ARCHITECTURES["local only"], network="unet")
    node = Node(asdict(architecture), Path("config.yaml"))

    (row,) = table_two(evaluated("local"), node, None).rows

    assert row[0] == "unet, local branch"


def test_of_an_unknown_network_only_the_aggregation_is_known() -> None:
    table = table_two(evaluated("local", "aggregated"), None, None)

    assert [row[1:5] for row in table.rows] == [
        ("", *[NOTHING] * 3),
        (YES, *[NOTHING] * 3),
    ]
    assert any("does not say" in note for note in table.notes)


def test_a_class_that_does_not_occur_has_no_bar() -> None:
    _, absent = bars_of(evaluated("local").evaluation, {"a": "#102030"})

    assert (absent.color, absent.bars[0].share, absent.bars[0].words) == (None, None, "-")


def test_ignored_pixels_have_a_row_where_there_are_any() -> None:
    counts = [[3, 1], [0, 0], [2, 0]]
    evaluation = replace(evaluated("local").evaluation, confusions={"local": counts})

    (heat,) = heats_of(evaluation)

    assert [name for name, _, _ in heat.rows] == ["a", "b", "ignored"]
    assert [cell.words for cell in heat.rows[0][1]] == ["75.0", "25.0"]
    assert [cell.words for cell in heat.rows[1][1]] == ["-", "-"]
    assert heat.mistakes.rows == (("a", "b", "25.0", "1"),)


@pytest.mark.parametrize("color", ["red;}", "#12345", "#12345g", "url(http://x)"])
def test_colours_that_are_none_are_left_out(color: str) -> None:
    classes = [{"name": "a", "color": color}, {"name": "b", "color": "#a0B1c2"}]
    about = Node({"configuration": {"classes": classes}}, Path("report.json"))

    assert colors_of(about) == {"b": "#a0B1c2"}
