import numpy as np
import pytest

from glnet.errors import GeometryError
from glnet.raster.sheets import CELL, COLUMNS, MARGIN, Tile, draw_sheet

RED, BLUE = (255, 0, 0), (0, 0, 255)


def tile(height: int, width: int, value: int, caption: str = "a (train)") -> Tile:
    return Tile(np.full((height, width, 3), value, np.uint8), caption)


@pytest.mark.parametrize("number", [1, COLUMNS, COLUMNS + 1, 24])
def test_every_picture_is_on_the_sheet_whole(number: int) -> None:
    tiles = [tile(30, CELL, 40 + k) for k in range(number)]

    sheet = draw_sheet(tiles, [("soil", RED)])

    for k in range(number):
        assert int((sheet == 40 + k).all(axis=2).sum()) >= 30 * CELL
    left = MARGIN + (number - 1) % COLUMNS * (CELL + MARGIN)
    assert (sheet[:, left : left + CELL] == 39 + number).all(axis=2).any()


def test_rows_are_as_high_as_their_highest_picture() -> None:
    flat = draw_sheet([tile(30, 60, 1)] * COLUMNS, [])
    high = draw_sheet([tile(30, 60, 1)] * (COLUMNS - 1) + [tile(200, 60, 1)], [])

    assert len(high) - len(flat) == 170
    assert high.shape[1] == flat.shape[1]


def test_the_legend_shows_every_colour_and_wraps() -> None:
    short = draw_sheet([tile(30, 30, 1)], [("soil", RED), ("weed", BLUE)])
    names = [(f"class of a long name {k}", (10 * k, 0, 255)) for k in range(9)]
    long = draw_sheet([tile(30, 30, 1)], names)

    for color in (RED, BLUE):
        assert (short == color).all(axis=2).sum() > 100
    for _, color in names:
        assert (long == color).all(axis=2).sum() > 100
    assert long.shape[1] == short.shape[1]
    assert len(long) > len(short)


def test_long_captions_stay_in_their_cell() -> None:
    sheet = draw_sheet([tile(30, 30, 1, "very long name " * 20), tile(30, 30, 1, "")], [])

    assert (sheet[:, MARGIN + CELL : 2 * MARGIN + CELL] == 255).all()


@pytest.mark.parametrize("tiles", [[], [tile(CELL + 1, 5, 0)]])
def test_no_picture_and_one_that_is_too_large_are_refused(tiles: list[Tile]) -> None:
    with pytest.raises(GeometryError, match=f"at most {CELL} px"):
        draw_sheet(tiles, [])
