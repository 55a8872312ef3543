"""The paper's numbers: against the paper's own text where it lies on this machine."""

import re
from pathlib import Path

import pytest

from glnet.data.opening import BENCHMARKS
from glnet.errors import ConfigurationError
from glnet.reproduction.paper import (
    DATASETS,
    TABLES,
    PaperTable,
    best_achievable,
    paper_table,
)

PAPER = Path(__file__).parents[3] / "shared" / "paper" / "paper.md"
needs_paper = pytest.mark.skipif(not PAPER.exists(), reason="the paper is not on this machine")


def printed(number: int) -> list[list[float]]:
    """The numbers at the end of every row of a table in the paper's text."""
    text = PAPER.read_text(encoding="utf-8").split(f"\nTable {number}: ")[1]
    rows = []
    for line in text[text.index("\n|") :].strip().splitlines():
        if not line.startswith("|"):
            break
        values = [cell.strip() for cell in line.strip("|").split("|")]
        numbers = [float(cell) for cell in values if re.fullmatch(r"[\d.]+", cell)]
        rows.extend([numbers] if numbers else [])
    return rows


def ours(table: PaperTable) -> list[list[float]]:
    return [[row.miou, *([] if row.memory is None else [row.memory])] for row in table.rows]


@needs_paper
@pytest.mark.parametrize("number", [2, 4, 5, 6, 7])
def test_tables_hold_what_is_printed(number: int) -> None:
    assert ours(TABLES[number]) == printed(number)


@needs_paper
def test_both_ways_of_table_3_hold_what_is_printed() -> None:
    networks, glnets = printed(3)[:6], printed(3)[6:]

    assert ours(TABLES[3])[:6] == [numbers[:2] for numbers in networks]
    assert ours(TABLES[3])[6:12] == [numbers[2:] for numbers in networks]
    assert ours(TABLES[3])[12:] == glnets


@needs_paper
def test_datasets_are_those_of_table_1() -> None:
    text = PAPER.read_text(encoding="utf-8")

    for of in DATASETS:
        (line,) = re.findall(rf"^\| {re.escape(of.label)} \[.*$", text, re.MULTILINE)
        _, largest, mean, share, images = (cell.strip() for cell in line.strip("|").split("|"))
        megapixels, width, height = re.findall(r"[\d.]+", largest)
        assert (of.largest.width, of.largest.height) == (int(width), int(height))
        assert of.is_uniform == (mean == "(uniform size)")
        printed_mean = megapixels if of.is_uniform else mean.split("M")[0]
        assert of.mean_megapixels == float(printed_mean)
        assert of.share_4k == float(share.rstrip("%"))
        assert of.images == int(images)


@pytest.mark.parametrize("number", TABLES)
def test_rows_are_found_by_their_keys(number: int) -> None:
    table = paper_table(number)

    assert all(table.find(row.key, row.way) is row for row in table.rows)
    assert table.find("something else") is None
    assert table.number == number
    assert table.dataset in BENCHMARKS


def test_other_tables_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="from 2 to 7, got 8"):
        paper_table(8)


def test_the_same_model_has_the_same_numbers_in_two_tables() -> None:
    for one, key, other, same in (
        (2, "deep", 3, "glnet_deep"),
        (2, "bidirectional", 3, "glnet"),
        (4, "bidirectional_boxes", 5, "glnet"),
        (6, "bidirectional", 7, "glnet"),
    ):
        first, second = paper_table(one).find(key), paper_table(other).find(same)
        assert first is not None
        assert second is not None
        assert first.miou == second.miou
        assert first.memory in (None, second.memory)


def test_whole_images_are_the_better_way_of_every_other_network() -> None:
    best = best_achievable()

    assert [row.key for row in best if row.way == "whole image"] == [
        "unet",
        "icnet",
        "pspnet",
        "segnet",
        "deeplabv3plus",
        "fcn8s",
    ]
    assert [row.key for row in best if not row.way] == ["glnet_deep", "glnet"]
