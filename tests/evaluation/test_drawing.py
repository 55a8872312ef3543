import numpy as np
import pytest

from glnet.evaluation.drawing import (
    FRAME,
    LINE,
    MARGIN,
    STRONGEST,
    Row,
    enlarged,
    framed_at,
    heat_map,
    in_digits,
    sheet,
)
from glnet.geometry import Size, Window

RED = (255, 0, 0)


def test_panels_stand_in_their_rows_whatever_their_sizes() -> None:
    wide, tall = np.full((20, 200, 3), 10, np.uint8), np.full((50, 30, 3), 20, np.uint8)

    picture = sheet(
        "title", [Row("one", [("a", wide), ("b", wide)]), Row("two", [("c", tall)])], []
    )

    top = LINE + 2 * LINE
    for left in (MARGIN, MARGIN + 200 + MARGIN):
        assert (picture[top : top + 20, left : left + 200] == 10).all()
    top += 20 + MARGIN + 2 * LINE
    assert (picture[top : top + 50, MARGIN : MARGIN + 30] == 20).all()
    assert picture.shape == (top + 50 + 2 * MARGIN, 2 * (200 + MARGIN) + MARGIN, 3)


def test_long_legends_are_broken_into_lines_and_long_names_cut() -> None:
    panel = [Row("", [("", np.zeros((5, 5, 3), np.uint8))])]
    few, many = ([(RED, "a name " * 30)] * count for count in (1, 9))

    short, long = sheet("", panel, few), sheet("", panel, many)

    assert long.shape[1] == short.shape[1]
    assert long.shape[0] == short.shape[0] + 8 * LINE
    assert (long == RED).all(axis=2).sum() == 9 * (short == RED).all(axis=2).sum() > 0


def test_small_pictures_are_enlarged_pixel_by_pixel() -> None:
    small = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)

    assert enlarged(small, 7).shape == (4, 6, 3)
    np.testing.assert_array_equal(enlarged(small, 7)[::2, ::2], small)
    np.testing.assert_array_equal(enlarged(small, 2), small)


def test_a_frame_goes_round_its_window() -> None:
    framed = framed_at(
        np.zeros((50, 100, 3), np.uint8), Window(20, 40, Size(40, 80)), Size(100, 200)
    )

    rows, columns = np.nonzero((framed == FRAME).all(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 29, 20, 59)
    assert not framed[13:27, 23:57].any()


def test_a_heat_map_has_the_colour_of_every_share() -> None:
    diagonal = [[7, 0], [0, 3], [0, 0]]

    picture = heat_map("confusion", diagonal, ["a", "b"])
    with_ignored = heat_map("confusion", [[7, 0], [0, 3], [1, 0]], ["a", "b"])

    full = (picture == STRONGEST).all(axis=2).sum()
    assert full > 0
    assert (with_ignored == STRONGEST).all(axis=2).sum() > 1.4 * full  # a third row
    assert with_ignored.shape[0] > picture.shape[0]


def test_a_class_that_never_occurs_has_no_shares() -> None:
    picture = heat_map("confusion", [[0, 0], [0, 3], [0, 0]], ["a " * 90, "b"])

    assert picture.dtype == np.uint8
    assert picture.shape[1] < 500


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0"), (999, "999"), (1234, "1.23 k"), (26_000_000, "26 M"), (7 * 10**15, "7000 T")],
)
def test_counts_are_told_in_few_digits(number: int, words: str) -> None:
    assert in_digits(number) == words
