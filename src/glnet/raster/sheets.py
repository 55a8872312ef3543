"""Many small pictures on one sheet, each with a line below, and a legend of colours."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from glnet.errors import GeometryError

CELL = 240
"""The longer side of a picture on a sheet, at most."""

COLUMNS = 6
MARGIN = 8
LINE = 20
PAPER, INK, FRAME = "white", "black", "gray"

Color = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Tile(NamedTuple):
    """A picture (height, width, 3) of at most `CELL` pixels a side, and the line below it."""

    picture: NDArray[np.uint8]
    caption: str


def draw_sheet(tiles: Sequence[Tile], legend: Sequence[tuple[str, Color]]) -> NDArray[np.uint8]:
    """Lay pictures out in rows, and below them what their colours mean: (height, width, 3).

    Raises:
        GeometryError: If there is no picture, or one is too large.
    """
    if not tiles or max(max(tile.picture.shape[:2]) for tile in tiles) > CELL:
        raise GeometryError(f"a sheet needs pictures of at most {CELL} px a side")
    font = ImageFont.load_default(size=13)
    columns = min(COLUMNS, len(tiles))
    width = max(2, columns) * (CELL + MARGIN) + MARGIN
    rows = [tiles[first : first + columns] for first in range(0, len(tiles), columns)]
    tops = list(accumulate((_height(row) for row in rows), initial=MARGIN))
    lines = _wrapped(legend, width, font)
    sheet = Image.new("RGB", (width, tops[-1] + len(lines) * LINE + MARGIN), PAPER)
    for top, row in zip(tops, rows, strict=False):
        for column, tile in enumerate(row):
            place = (MARGIN + column * (CELL + MARGIN), top)
            _place(sheet, tile, place, _height(row) - LINE - MARGIN, font)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        y = tops[-1] + number * LINE
        for left, (name, color) in line:
            draw.rectangle((left, y + 2, left + 14, y + 16), fill=color, outline=FRAME)
            draw.text((left + 20, y + LINE / 2 - 1), name, INK, font, anchor="lm")
    return np.asarray(sheet)


def _height(row: Sequence[Tile]) -> int:
    """Of the highest picture in a row, with its caption and the space below."""
    return max(len(tile.picture) for tile in row) + LINE + MARGIN


def _place(sheet: Image.Image, tile: Tile, place: tuple[int, int], height: int, font: Font) -> None:
    """Put a picture in the middle of its cell (left, top) and its caption below."""
    left, top = place
    corner = (
        left + (CELL - tile.picture.shape[1]) // 2,
        top + (height - tile.picture.shape[0]) // 2,
    )
    sheet.paste(Image.fromarray(tile.picture), corner)
    caption = tile.caption
    while font.getlength(caption) > CELL and len(caption) > 1:
        caption = f"{caption.rstrip('…')[:-1]}…"
    middle = (left + CELL / 2, top + height + LINE / 2)
    ImageDraw.Draw(sheet).text(middle, caption, INK, font, anchor="mm")


def _wrapped(
    legend: Sequence[tuple[str, Color]], width: int, font: Font
) -> list[list[tuple[int, tuple[str, Color]]]]:
    """The entries of a legend in lines, each with where it begins."""
    lines: list[list[tuple[int, tuple[str, Color]]]] = [[]]
    left = MARGIN
    for name, color in legend:
        length = round(font.getlength(name)) + 40
        if lines[-1] and left + length > width:
            lines.append([])
            left = MARGIN
        lines[-1].append((left, (name, color)))
        left += length
    return lines
