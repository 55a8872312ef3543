"""Pictures with words: panels in rows over a legend, and confusion counts as a heat map."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from glnet.geometry import Size, Window

Picture = NDArray[np.uint8]
Color = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

MARGIN = 8
LINE = 24
"""Height of a line of words."""
SWATCH = 14
PAPER, INK, FRAME = (255, 255, 255), (0, 0, 0), (255, 230, 0)
EDGE = (190, 190, 190)
LEAST_WIDTH = 150
"""Of a panel's column, so that its caption fits."""

CELL = Size(30, 62)
"""Of the heat map."""
LONGEST_NAME = 24
MOST_CLASSES = 40
"""A heat map of more could not be read."""
STRONGEST: Color = (20, 80, 160)
"""A cell that holds its whole row."""


class Row(NamedTuple):
    """Panels side by side, each under its caption, all under a note."""

    note: str
    panels: Sequence[tuple[str, Picture]]


def sheet(title: str, rows: Sequence[Row], legend: Sequence[tuple[Color, str]]) -> Picture:
    """Rows of panels under a title and over a legend: (height, width, 3)."""
    columns = max(len(row.panels) for row in rows)
    wide = max(LEAST_WIDTH, *(panel.shape[1] for row in rows for _, panel in row.panels))
    width = columns * (wide + MARGIN) + MARGIN
    lines = _legend_lines(legend, width)
    high = [max(panel.shape[0] for _, panel in row.panels) for row in rows]
    height = LINE + sum(2 * LINE + of + MARGIN for of in high) + LINE * len(lines) + MARGIN
    picture = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, LINE / 2), title, INK, text_font(16), anchor="lm")
    top = LINE
    for row, row_height in zip(rows, high, strict=True):
        draw.text((MARGIN, top + LINE / 2), row.note, INK, text_font(13), anchor="lm")
        for number, (caption, panel) in enumerate(row.panels):
            left = MARGIN + number * (wide + MARGIN)
            draw.text((left, top + 1.5 * LINE), caption, INK, text_font(14), anchor="lm")
            place = (left, top + 2 * LINE)
            edge = (place[0] - 1, place[1] - 1, left + panel.shape[1], place[1] + panel.shape[0])
            draw.rectangle(edge, outline=EDGE)  # White classes end where they end.
            picture.paste(Image.fromarray(panel), place)
        top += 2 * LINE + row_height + MARGIN
    _draw_legend(draw, lines, top)
    return np.asarray(picture)


def enlarged(picture: Picture, side: int) -> Picture:
    """Pixels repeated as often as the longer side stays within ``side``; at least once."""
    times = max(1, side // max(picture.shape[:2]))
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def framed_at(picture: Picture, window: Window, raster: Size) -> Picture:
    """A picture of a raster with a frame where a window of the raster lies in it."""
    height, width = picture.shape[:2]
    marked = Image.fromarray(picture)
    box = (
        window.column * width // raster.width,
        window.row * height // raster.height,
        max(0, window.column_stop * width // raster.width - 1),
        max(0, window.row_stop * height // raster.height - 1),
    )
    ImageDraw.Draw(marked).rectangle(box, outline=FRAME, width=2)
    return np.asarray(marked)


def heat_map(title: str, counts: Sequence[Sequence[int]], names: Sequence[str]) -> Picture:
    """Confusion counts as shares of their rows, in % and in blue: (height, width, 3).

    Args:
        title: Above it.
        counts: A row per true class, then one for ignored pixels, which is left out if it is empty;
            a column per answered class.
        names: Of the classes.
    """
    rows = [*names, "ignored"] if sum(counts[-1]) else list(names)
    labels = [_short(name) for name in rows]
    font = text_font(13)
    left = MARGIN * 2 + round(max(font.getlength(label) for label in labels))
    head = MARGIN + round(max(font.getlength(label) for label in labels[: len(names)]))
    top = 2 * LINE + head
    width = max(
        left + CELL.width * (len(names) + 1) + 3 * MARGIN, round(font.getlength(title)) + 99
    )
    picture = Image.new("RGB", (width, top + CELL.height * len(rows) + MARGIN), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, LINE / 2), title, INK, text_font(16), anchor="lm")
    draw.text((MARGIN, 1.5 * LINE), "rows: truth, columns: answer, % of the row", INK, font, "lm")
    for column, label in enumerate([*labels[: len(names)], "pixels"]):
        _paste_upright(picture, label, left + CELL.width * column + CELL.width // 2, top)
    for number, label in enumerate(labels):
        row_top = top + number * CELL.height
        draw.text((left - MARGIN, row_top + CELL.height / 2), label, INK, font, "rm")
        _draw_row(draw, counts[number], left, row_top)
    return np.asarray(picture)


def _draw_row(draw: ImageDraw.ImageDraw, counts: Sequence[int], left: int, top: int) -> None:
    pixels = sum(counts)
    for column, count in enumerate(counts):
        share = count / pixels if pixels else 0.0
        box = (left + column * CELL.width, top)
        color = tuple(round(255 + share * (strong - 255)) for strong in STRONGEST)
        corner = (box[0] + CELL.width - 2, box[1] + CELL.height - 2)
        draw.rectangle((box, corner), fill=color)
        centre = (box[0] + CELL.width / 2, box[1] + CELL.height / 2)
        ink = PAPER if share > 0.5 else INK
        draw.text(centre, f"{100 * share:.1f}" if pixels else "-", ink, text_font(13), anchor="mm")
    place = (left + CELL.width * (len(counts) + 1), top + CELL.height / 2)
    draw.text(place, in_digits(pixels), INK, text_font(13), anchor="rm")


def in_digits(number: int) -> str:
    """A count in few digits, such as "12.3 M"."""
    value, units = float(number), ["", " k", " M", " G", " T"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.3g}{units[0]}" if value < 1000 else f"{value:.0f}{units[0]}"


def _paste_upright(picture: Image.Image, words: str, centre: int, bottom: int) -> None:
    """Words that read from the bottom up, ending at a row."""
    font = text_font(13)
    line = Image.new("RGB", (round(font.getlength(words)) + 2, 20), PAPER)
    ImageDraw.Draw(line).text((1, 10), words, INK, font, anchor="lm")
    upright = line.rotate(90, expand=True)
    picture.paste(upright, (centre - upright.width // 2, bottom - upright.height - 2))


def _legend_lines(
    legend: Sequence[tuple[Color, str]], width: int
) -> list[list[tuple[int, Color, str]]]:
    """Entries with the column where each starts, broken into lines."""
    lines: list[list[tuple[int, Color, str]]] = []
    font, left = text_font(13), width
    for color, name in legend:
        label = _short(name, LONGEST_NAME * 2)
        length = SWATCH + MARGIN + round(font.getlength(label)) + 2 * MARGIN
        if left + length > width:
            lines.append([])
            left = MARGIN
        lines[-1].append((left, color, label))
        left += length
    return lines


def _draw_legend(
    draw: ImageDraw.ImageDraw, lines: list[list[tuple[int, Color, str]]], top: int
) -> None:
    for line in lines:
        for left, color, label in line:
            square = (left, top + 5, left + SWATCH, top + 5 + SWATCH)
            draw.rectangle(square, fill=color, outline=INK)
            draw.text(
                (left + SWATCH + MARGIN, top + LINE / 2), label, INK, text_font(13), anchor="lm"
            )
        top += LINE


def _short(name: str, longest: int = LONGEST_NAME) -> str:
    words = " ".join(name.split())
    return words if len(words) <= longest else words[: longest - 3] + "..."


def text_font(size: int) -> Font:
    """The one that all words are written in."""
    return ImageFont.load_default(size=size)
