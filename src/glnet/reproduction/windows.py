"""Where methods disagree most: windows to look at, found in one pass over maps of any size."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from glnet.errors import ConfigurationError, InputMismatchError
from glnet.geometry import Size, Window, strips

Labels = NDArray[np.uint8]

STRIP_PIXELS = 4_000_000
"""About as many labels of a map are held at once."""
PARTS = 8
"""Windows start at multiples of this part of their side, and where the image ends."""


class LabelMap(Protocol):
    """Labels that are read window by window, such as `glnet.data.LabelRaster`."""

    @property
    def name(self) -> str:
        """What to call it in messages."""
        ...

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        ...

    def read(self, window: Window) -> Labels:
        """The labels (height, width) of a window."""
        ...


class Disagreement(NamedTuple):
    """A window, and how many of its pixels do not have the same label in all maps."""

    window: Window
    pixels: int


def find_disagreements(maps: Sequence[LabelMap], side: int, count: int = 2) -> list[Disagreement]:
    """Find the windows in which most pixels differ between the maps.

    Windows are squares of ``side`` pixels (less where the image is less), which start at multiples
    of an eighth of their side and at the far edge. The first has most of all of these; each next
    one most of those that share no pixel with an earlier one; of equal ones, the uppermost, then
    the leftmost. Windows in which nothing differs are left out, so there may be fewer.

    Maps are read once, in strips of about `STRIP_PIXELS`; besides, a count is held for every cell
    between possible edges of windows, of which there are some hundred in a window.

    Args:
        maps: At least two, of one size.
        side: Of a window, in pixels.
        count: How many windows, at most.

    Raises:
        ConfigurationError: If there are less than two maps, or the side is under 1.
        InputMismatchError: If they are not of one size.
        RasterError: If a map cannot be read.
    """
    size = _require(maps, side)
    window = Size(min(side, size.height), min(side, size.width))
    rows, columns = Starts(size.height, window.height), Starts(size.width, window.width)
    cells = np.zeros((len(rows.cuts), len(columns.cuts)), np.int64)
    for strip in strips(size, max(1, STRIP_PIXELS // size.width)):
        # A row of cells after the other, as a strip ends where it will.
        by_column = np.add.reduceat(_differs(maps, strip), columns.cuts, axis=1, dtype=np.int32)
        places = np.searchsorted(rows.cuts, np.arange(strip.row, strip.row_stop), "right") - 1
        np.add.at(cells, places, by_column)
    sums = np.pad(cells.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    top, bottom = (edge[:, np.newaxis] for edge in rows.edges)
    left, right = columns.edges
    counts = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return list(_chosen(counts, rows, columns, window, count))


class Starts:
    """Where windows may start along one side of an image, and the cells between their edges.

    Args:
        length: Of the image's side.
        side: Of a window, at most as much.
    """

    def __init__(self, length: int, side: int) -> None:
        step = max(1, side // PARTS)
        self.starts = np.unique([*range(0, length - side, step), length - side])
        ends = self.starts + side
        self.cuts = np.unique([*self.starts, *ends[ends < length]])
        """Where a cell begins; the first is 0."""
        self.edges = (
            np.searchsorted(self.cuts, self.starts),
            np.searchsorted(self.cuts, ends),  # Of the last one: behind all cells.
        )
        """How many cells lie before the start, and before the end, of every window."""


def _chosen(
    counts: NDArray[np.int64], rows: Starts, columns: Starts, window: Size, count: int
) -> list[Disagreement]:
    chosen: list[Disagreement] = []
    free = counts.copy()
    for _ in range(count):
        row, column = np.unravel_index(int(free.argmax()), free.shape)
        if free[row, column] <= 0:
            break
        place = Window(int(rows.starts[row]), int(columns.starts[column]), window)
        chosen.append(Disagreement(place, int(free[row, column])))
        meets = [
            np.abs(starts - start) < side
            for starts, start, side in (
                (rows.starts, place.row, window.height),
                (columns.starts, place.column, window.width),
            )
        ]
        free[np.ix_(*meets)] = 0
    return chosen


def _differs(maps: Sequence[LabelMap], strip: Window) -> NDArray[np.bool_]:
    """Where the labels of a strip are not the same in all maps, (rows, width)."""
    first = maps[0].read(strip)
    differs: NDArray[np.bool_] = np.zeros(first.shape, np.bool_)
    for of in maps[1:]:
        differs |= first != of.read(strip)
    return differs


def _require(maps: Sequence[LabelMap], side: int) -> Size:
    if len(maps) < 2 or side < 1:
        raise ConfigurationError(
            f"expected at least two maps to compare and a window of at least 1 pixel, "
            f"got {len(maps)} and {side}"
        )
    for one, other in itertools.pairwise(maps):
        if one.size != other.size:
            raise InputMismatchError(
                f"maps must be of one size to be compared: {one.name} is {one.size}, "
                f"{other.name} is {other.size}"
            )
    return maps[0].size
