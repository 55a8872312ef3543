from dataclasses import asdict

import pytest

from glnet.cli.console import WIDTH
from glnet.cli.scores import score_table
from glnet.evaluation.report import Evaluation, Figures, Score
from glnet.evaluation.tables import Table, as_markdown, percent, tables_of

NAMES = [f"class {k}" for k in range(40)]
SCORE = Score(dict.fromkeys(NAMES, 0.123), 0.5, 1.0)
FIGURES: Figures = {
    "austin": {"building IoU": 0.25, "accuracy": 1.0},
    "overall": {"building IoU": None, "accuracy": 0.75},
}
ANSWERS = ("global", "local", "aggregated")


def evaluation(protocol: str = "generic") -> Evaluation:
    return Evaluation(
        1,
        1,
        {answer: SCORE for answer in ANSWERS},  # noqa: C420
        protocol,
        {answer: FIGURES for answer in ANSWERS},  # noqa: C420
    )


def test_classes_are_rows_and_answers_are_columns() -> None:
    (table,) = tables_of(evaluation().to_dict())

    assert table.head == ("class", "global branch", "local branch", "GLNet")
    assert table.rows[0] == ("class 0", "12.3", "12.3", "12.3")
    assert table.rows[-2:] == (("mIoU", *["50.0"] * 3), ("accuracy", *["100.0"] * 3))
    assert len(table.rows) == 42


def test_a_protocol_adds_its_numbers_place_by_place() -> None:
    _, table = tables_of(evaluation("inria").to_dict())

    assert table.title == "protocol inria, %"
    assert table.rows == (
        ("austin", "building IoU", "25.0", "25.0", "25.0"),
        ("", "accuracy", "100.0", "100.0", "100.0"),
        ("overall", "building IoU", "-", "-", "-"),
        ("", "accuracy", "75.0", "75.0", "75.0"),
    )


@pytest.mark.parametrize("name", ["a", "a long name " * 10, "wörd" * 30])
@pytest.mark.parametrize("protocol", ["generic", "inria"])
def test_tables_fit_a_terminal_whatever_the_classes_are_called(name: str, protocol: str) -> None:
    odd = {**evaluation(protocol).to_dict(), "answers": {"local": asdict(Score({name: 0.5}, 1, 1))}}

    text = score_table(odd)

    assert max(len(line) for line in text.splitlines()) <= WIDTH
    assert "50.0" in text
    assert "".join(name.split())[-1] in text


def test_brackets_in_names_are_no_markup() -> None:
    score = asdict(Score({"[red]roof[/red]": 0.5}, 0.5, 0.5))

    assert "[red]roof[/red]" in score_table({"answers": {"mine": score}})
    assert "mine" in score_table({"answers": {"mine": score}})


def test_a_page_keeps_cells_apart() -> None:
    text = as_markdown(Table("title", ("a", "b"), (("x|y", "1"),)))

    assert text == "## title\n\n| a | b |\n| --- | ---: |\n| x\\|y | 1 |\n"


@pytest.mark.parametrize(("value", "words"), [(None, "-"), (0.0, "0.0"), (0.9999, "100.0")])
def test_shares_are_told_in_percent(value: float | None, words: str) -> None:
    assert percent(value) == words
