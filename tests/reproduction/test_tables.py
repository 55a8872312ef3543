"""Tables of results: what is written says what was given."""

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from glnet.errors import ConfigurationError, OutputError
from glnet.reproduction import tables
from glnet.reproduction.paper import TABLE_2, TABLE_3
from glnet.reproduction.results import (
    ESTIMATED,
    MIOU,
    NONE,
    PAPER_MEMORY,
    PAPER_MIOU,
    QUICK,
    ResultRow,
    ResultTable,
    paper_values,
)
from glnet.reproduction.styling import GLNET, NEUTRAL, PALE
from glnet.reproduction.table_picture import table_picture
from glnet.reproduction.tables import table_page, table_values, write_table

UNET = ResultRow("unet", "U-Net", {PAPER_MIOU: 37.3, MIOU: 30.06, ESTIMATED: 949.4})
ICNET = ResultRow("icnet", "ICNet", {MIOU: None, PAPER_MIOU: 35.5}, skipped="does not | fit")
OURS = ResultRow("glnet", "GLNet, G⇌L", {MIOU: 60.0, "kinks": 1234.56}, note="two\nlines")


def results(*rows: ResultRow, is_quick: bool = False) -> ResultTable:
    return ResultTable("Table 9: things", "Trained\n on 2 images.", rows, is_quick=is_quick)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("\\|", "/").strip("|").split("|")]


def page_rows(table: ResultTable) -> list[list[str]]:
    return [cells(line) for line in table_page(table).splitlines() if line.startswith("|")]


def ink(path: Path, color: str) -> NDArray[np.intp]:
    """The (row, column) of the pixels of a colour."""
    wanted = [int(color[place : place + 2], 16) for place in (1, 3, 5)]
    return np.argwhere((np.asarray(Image.open(path).convert("RGB")) == wanted).all(axis=2))


def size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture."""
    with Image.open(path) as picture:
        return picture.size


def widest(path: Path, color: str) -> int:
    """The longest bar of a colour, in pixels."""
    places = ink(path, color)
    return max(int(np.count_nonzero(places[:, 0] == row)) for row in np.unique(places[:, 0]))


def test_a_page_has_heading_paragraph_table_and_notes() -> None:
    lines = table_page(results(UNET, ICNET, OURS), ["table.png"]).splitlines()

    assert lines[0] == "# Table 9: things"
    assert lines[2] == "Trained on 2 images."
    assert "- GLNet, G⇌L: two lines" in lines
    assert "![Table 9: things](table.png)" in lines
    assert not any(QUICK in line.lower() for line in lines)


def test_usual_columns_come_first_and_missing_values_are_dashes() -> None:
    head, _, unet, icnet, glnet = page_rows(results(UNET, ICNET, OURS))

    assert head == ["", MIOU, PAPER_MIOU, ESTIMATED, "kinks", "remark"]
    assert unet == ["U-Net", "30.1", "37.3", "949", NONE, ""]
    assert icnet == ["ICNet", NONE, "35.5", NONE, NONE, "skipped: does not / fit"]
    assert glnet == ["GLNet, G⇌L", "60.0", NONE, NONE, "1235", ""]


def test_there_is_no_remark_where_nothing_was_skipped() -> None:
    head, *_ = page_rows(results(UNET, OURS))

    assert "remark" not in head


def test_remarks_are_set_as_words_and_values_as_numbers() -> None:
    rule = page_rows(results(UNET, ICNET))[1]

    assert rule == ["---", "---:", "---:", "---:", "---"]


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.036864, "0.037"), (0.06, "0.06"), (0.1, "0.1"), (0.65, "0.7"), (0.0, "0.0"), (5.99, "6.0")],
)
def test_what_is_small_is_not_shown_as_nothing(value: float, words: str) -> None:
    row = ResultRow("a", "A", {MIOU: value})

    assert results(row).words(row, MIOU) == words


@pytest.mark.parametrize("value", [MIOU, "images"])
def test_long_reasons_stand_whole_under_the_table(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    whole = Axes.text

    def text(self: Axes, x: float, y: float, s: str, **others: object) -> Text:
        said.append(s)
        return whole(self, x, y, s, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(Axes, "text", text)
    rows = [
        ResultRow(str(k), f"Network {k}", {value: None}, skipped=f"reason {k} {words}".strip())
        for k, words in enumerate(("", "and more " * 9, "and other " * 9))
    ]

    table_picture(results(*rows))

    assert any("skipped: reason 0" in of for of in said)
    assert any("skipped, see (2)" in of for of in said)
    under = " ".join(said[-1].split())
    for number, row in enumerate(rows[1:], start=1):
        assert f"({number}) {row.label}, skipped: {row.skipped}" in under


def test_columns_can_be_chosen_with_their_decimals() -> None:
    table = ResultTable("t", "a", [OURS], columns=("kinks",), decimals={"kinks": 2})

    assert page_rows(table)[2] == ["GLNet, G⇌L", "1234.56"]


def test_a_quick_run_says_so_on_the_page_and_in_every_row_of_values() -> None:
    table = results(UNET, OURS, is_quick=True)

    assert f"**Q{QUICK[1:]}.**" in table_page(table).splitlines()
    assert [row["quick run"] for row in csv.DictReader(io.StringIO(table_values(table)))] == [
        "yes",
        "yes",
    ]


def test_values_keep_all_digits() -> None:
    unet, icnet, glnet = csv.DictReader(io.StringIO(table_values(results(UNET, ICNET, OURS))))

    assert (unet["key"], unet["label"]) == ("unet", "U-Net")
    assert float(unet[MIOU]) == UNET.values[MIOU]
    assert float(glnet["kinks"]) == 1234.56
    assert icnet[MIOU] == icnet[ESTIMATED] == unet["kinks"] == ""
    assert (icnet["skipped"], glnet["note"]) == ("does not | fit", "two\nlines")


def test_bars_are_as_long_as_their_values(tmp_path: Path) -> None:
    rows = [
        ResultRow("a", "U-Net", {MIOU: 25.0, PAPER_MIOU: 100.0}),
        ResultRow("b", "GLNet", {MIOU: 50.0, PAPER_MIOU: 10.0}),
    ]

    picture = write_table(tmp_path / "new", results(*rows))[0]

    whole = widest(picture, PALE)
    assert widest(picture, NEUTRAL) == pytest.approx(whole / 4, abs=3)
    assert widest(picture, GLNET) == pytest.approx(whole / 2, abs=3)


def test_a_picture_grows_with_rows_and_columns(tmp_path: Path) -> None:
    long = ResultRow("long", "U-Net of quite a long name", UNET.values, skipped="no " * 50)

    sizes = [
        size(write_table(tmp_path / str(number), table)[0])
        for number, table in enumerate(
            (results(UNET), results(UNET, long), results(UNET, is_quick=True), results(UNET, OURS))
        )
    ]

    alone, longer, quick, more = sizes
    assert longer[0] > alone[0]
    assert longer[1] > alone[1]
    assert quick[1] > alone[1]
    assert quick[0] == alone[0]
    assert more[0] > alone[0]


def test_numbers_that_are_not_finite_are_none(tmp_path: Path) -> None:
    lost = ResultRow("a", "U-Net", {MIOU: math.nan, PAPER_MIOU: 37.3, ESTIMATED: math.inf})

    picture = write_table(tmp_path, results(lost))[0]

    assert page_rows(results(lost))[2] == ["U-Net", NONE, "37.3", NONE]
    assert "nan" not in table_values(results(lost))
    assert widest(picture, PALE) > 100


def test_a_table_without_bars_says_in_its_first_column_what_was_skipped(tmp_path: Path) -> None:
    skipped = ResultRow("a", "ISIC", {"images": None}, skipped="not on disk")
    there = ResultRow("a", "ISIC", {"images": None})

    wide, narrow = (
        size(write_table(tmp_path / name, ResultTable("t", "", [row]))[0])[0]
        for name, row in (("skipped", skipped), ("there", there))
    )

    assert wide > narrow
    assert not ink(tmp_path / "skipped" / "table.png", NEUTRAL).size


def test_all_three_files_are_written_and_replaced(tmp_path: Path) -> None:
    write_table(tmp_path, results(UNET))

    paths = write_table(tmp_path, results(OURS))

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "table.csv",
        "table.md",
        "table.png",
    ]
    assert {path.name for path in paths} == {"table.csv", "table.md", "table.png"}
    assert "U-Net" not in (tmp_path / "table.md").read_text(encoding="utf-8")
    assert (tmp_path / "table.csv").read_text(encoding="utf-8") == table_values(results(OURS))


def test_nothing_is_written_where_something_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> str:
        raise OutputError("no page")

    monkeypatch.setattr(tables, "table_page", refuse)

    with pytest.raises(OutputError, match="no page"):
        write_table(tmp_path / "new", results(UNET))
    assert not (tmp_path / "new").exists()


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match="is a file; a report needs a folder"):
        write_table(tmp_path / "file", results(UNET))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "expected at least one row"),
        ([UNET, UNET], "two rows are called unet"),
        ([ResultRow("a", "a", {})], "no row names a column"),
    ],
)
def test_tables_that_cannot_be_are_refused(rows: list[ResultRow], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        results(*rows)


def test_the_papers_values_stand_in_its_columns() -> None:
    assert paper_values(TABLE_2.find("deep")) == {PAPER_MIOU: 70.9, PAPER_MEMORY: 1395}
    assert paper_values(TABLE_3.find("unet", "patches")) == {PAPER_MIOU: 37.3, PAPER_MEMORY: 949}
    assert paper_values(None) == {PAPER_MIOU: None, PAPER_MEMORY: None}
