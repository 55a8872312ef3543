"""Boxes around the foreground, which alone are refined (section 3.3, Figure 6).

Everything here follows from a mask in the thumbnail's cells and the raster's size, in whole raster
pixels: it is the same for masks that a network predicted and for those of the truth.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from glnet.geometry import Size, Window
from glnet.model.config import CoarseToFine

Mask = NDArray[np.bool_]

TOUCHING = np.ones((3, 3), dtype=np.int8)
"""Cells are of one component where they share a side or a corner."""


def boxes_of(foreground: Mask, raster: Size, rule: CoarseToFine, least: Size) -> tuple[Window, ...]:
    """The boxes that hold all foreground of a raster, without overlaps; none where there is none.

    A box is drawn around the foreground, or around each of its components, one cell farther on all
    sides, as an edge lies anywhere in a cell, and by `CoarseToFine.margin`, as the coarse branch
    misses some. It is relaxed outwards, by the same number of pixels
    on all sides that are not the raster's own, until at most `CoarseToFine.ratio` pixels of
    foreground come on one of background (the paper's footnote 1), or it is the raster; and until it
    has the least size, as far as the raster has. Boxes that overlap become one.

    Args:
        foreground: (rows, columns), of any size: the raster's own in cells.
        raster: In pixels.
        rule: How.
        least: The sides that a box has at least, a patch's.
    """
    if not foreground.any():
        return ()
    parts: list[tuple[slice, slice]] = [_around(foreground)]
    counts = [int(np.count_nonzero(foreground))]
    if rule.boxes == "each":
        components, number = ndimage.label(foreground, TOUCHING)
        parts = [(of[0], of[1]) for of in ndimage.find_objects(components)]
        counts = np.bincount(components.ravel(), minlength=number + 1)[1:].tolist()
    cell = (raster.height / foreground.shape[0], raster.width / foreground.shape[1])
    boxes = []
    for (rows, columns), count in zip(parts, counts, strict=True):
        drawn = _Box(
            _pixels(rows, cell[0], raster.height), _pixels(columns, cell[1], raster.width), raster
        )
        relaxed = drawn.with_margin(rule.margin).relaxed(count * cell[0] * cell[1], rule.ratio)
        boxes.append(relaxed.at_least(least).window)
    return _apart(boxes)


def _around(foreground: Mask) -> tuple[slice, slice]:
    """The rows and columns that have any."""
    found = [np.flatnonzero(foreground.any(axis=axis)) for axis in (1, 0)]
    rows, columns = (slice(int(of[0]), int(of[-1]) + 1) for of in found)
    return rows, columns


def _pixels(cells: slice, side: float, length: int) -> tuple[int, int]:
    """The raster's pixels along an axis that cells and one more on both sides reach."""
    first, last = np.floor((cells.start - 1) * side), np.ceil((cells.stop + 1) * side)
    return max(0, int(first)), min(length, int(last))


class _Box:
    """A box that grows within its raster."""

    def __init__(self, rows: tuple[int, int], columns: tuple[int, int], raster: Size) -> None:
        self._rows = rows
        self._columns = columns
        self._raster = raster

    @property
    def window(self) -> Window:
        (top, bottom), (left, right) = self._rows, self._columns
        return Window(top, left, Size(bottom - top, right - left))

    def grown(self, pixels: int) -> "_Box":
        """By so many pixels on all sides, as far as the raster goes."""
        rows = (max(0, self._rows[0] - pixels), min(self._raster.height, self._rows[1] + pixels))
        columns = (
            max(0, self._columns[0] - pixels),
            min(self._raster.width, self._columns[1] + pixels),
        )
        return _Box(rows, columns, self._raster)

    def with_margin(self, share: float) -> "_Box":
        """Farther out on every side by a share of the height or the width."""
        rows = _widened(self._rows, share, self._raster.height)
        return _Box(rows, _widened(self._columns, share, self._raster.width), self._raster)

    def relaxed(self, foreground: float, ratio: float) -> "_Box":
        """By as few pixels as make it large enough for so many pixels of foreground."""
        wanted = foreground * (1 + 1 / ratio)
        least, most = 0, max(self._raster.height, self._raster.width)
        while least < most:
            middle = (least + most) // 2
            if self.grown(middle).window.size.area >= wanted:
                most = middle
            else:
                least = middle + 1
        return self.grown(least)

    def at_least(self, size: Size) -> "_Box":
        """Sides that are shorter grow to both ends, beyond the raster's edge to the other one."""
        rows = _lengthened(self._rows, size.height, self._raster.height)
        return _Box(rows, _lengthened(self._columns, size.width, self._raster.width), self._raster)


def _widened(side: tuple[int, int], share: float, length: int) -> tuple[int, int]:
    more = ceil(share * (side[1] - side[0]))
    return max(0, side[0] - more), min(length, side[1] + more)


def _lengthened(side: tuple[int, int], least: int, length: int) -> tuple[int, int]:
    missing = min(least, length) - (side[1] - side[0])
    if missing <= 0:
        return side
    start = min(max(0, side[0] - missing // 2), length - min(least, length))
    return start, start + min(least, length)


def _apart(boxes: Sequence[Window]) -> tuple[Window, ...]:
    """The same pixels and more, in boxes that do not overlap, from the top down."""
    apart: list[Window] = []
    for box in boxes:
        merged = box
        while touching := [of for of in apart if of.shared(merged) is not None]:
            apart = [of for of in apart if of not in touching]
            merged = _around_all([merged, *touching])
        apart.append(merged)
    return tuple(sorted(apart, key=lambda of: (of.row, of.column)))


def _around_all(boxes: Sequence[Window]) -> Window:
    top, left = min(of.row for of in boxes), min(of.column for of in boxes)
    bottom, right = max(of.row_stop for of in boxes), max(of.column_stop for of in boxes)
    return Window(top, left, Size(bottom - top, right - left))
