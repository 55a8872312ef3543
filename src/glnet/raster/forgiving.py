"""Reading on where a file is damaged: what cannot be read is no measurement."""

from collections.abc import Iterator

import numpy as np

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster.protocol import Blocked, Georeference, Masked, Raster, require_inside
from glnet.raster.views import LayeredView

CELL_SIDE = 256
"""The side of what is lost together, where a raster says nothing of the blocks it decodes."""

LEAST_CELL_AREA = 128 * 128
"""Smaller blocks are lost several together, so that what is remembered stays small."""


class ForgivingRaster(LayeredView):
    """A raster whose damaged blocks read as zeros that are no measurements.

    A window that cannot be read is parted until what cannot be read is one cell: a block of the
    file, or several where they are small. What was found damaged is remembered, one byte for each
    cell, and not read again: a file that cannot be read anywhere costs at most two reads for each
    cell. Formats that are decoded whole, such as JPEG and PNG, are one cell.

    Damage that the decoder does not notice is not found. That is common in JPEG, which has no
    checksums, and can happen with DEFLATE, whose checksum GDAL does not compare.

    Overviews are read as forgivingly. Damage there is not told of: it touches only thumbnails.

    Args:
        raster: What is read; not closed here.
        cell: What is lost together; by default the blocks of a file, else squares of `CELL_SIDE`.
    """

    def __init__(self, raster: Raster, cell: Size | None = None) -> None:
        super().__init__(raster)
        self._cell = cell or _cell_of(raster)
        rows = -(-raster.size.height // self._cell.height)
        columns = -(-raster.size.width // self._cell.width)
        self._is_damaged = np.zeros((rows, columns), np.bool_)

    @property
    def georeference(self) -> Georeference:
        """Where the raster lies on Earth: this view stands for the raster itself."""
        return self.raster.georeference

    @property
    def has_mask(self) -> bool:
        """Always: damage is not known before it is met."""
        return True

    @property
    def damaged(self) -> list[Window]:
        """Where nothing could be read so far: rectangles of pixels that do not overlap."""
        return [self._pixels_of(cells) for cells in _rectangles(self._is_damaged)]

    def alike(self, smaller: Raster) -> Raster:
        """With damage of its own."""
        return ForgivingRaster(smaller)

    def read_masked(self, window: Window) -> Masked:
        """The pixels of a window, zeros where they cannot be read, and which are measurements.

        Raises:
            GeometryError: If the window is not inside the raster.
        """
        require_inside(window, self)
        pixels = np.zeros((self.bands, window.size.height, window.size.width), self.dtype)
        valid = np.zeros((window.size.height, window.size.width), np.bool_)
        for part, found in self._readable(window):
            place = part.moved(-window.row, -window.column).slices
            pixels[:, *place] = found.pixels
            valid[place] = True if found.valid is None else found.valid
        return Masked(pixels, None if valid.all() else valid)

    def _readable(self, window: Window) -> Iterator[tuple[Window, Masked]]:
        """The parts of a window that can be read."""
        waiting = [self._cells_under(window)]
        while waiting:
            cells = waiting.pop()
            known = self._is_damaged[cells.slices]
            if known.all():
                continue
            if not known.any():
                part = self._pixels_of(cells).shared(window)
                assert part is not None
                try:
                    yield part, self.raster.read_masked(part)
                    continue
                except RasterError:
                    if cells.size.area == 1:
                        self._is_damaged[cells.slices] = True
                        continue
            waiting += _halves(cells)

    def _cells_under(self, window: Window) -> Window:
        height, width = self._cell.height, self._cell.width
        row, column = window.row // height, window.column // width
        return Window(
            row,
            column,
            Size(-(-window.row_stop // height) - row, -(-window.column_stop // width) - column),
        )

    def _pixels_of(self, cells: Window) -> Window:
        height, width = self._cell.height, self._cell.width
        row, column = cells.row * height, cells.column * width
        row_stop = min(cells.row_stop * height, self.size.height)
        column_stop = min(cells.column_stop * width, self.size.width)
        return Window(row, column, Size(row_stop - row, column_stop - column))


def _cell_of(raster: Raster) -> Size:
    cell = raster.block if isinstance(raster, Blocked) else Size(CELL_SIDE, CELL_SIDE)
    while cell.area < LEAST_CELL_AREA:
        is_low = cell.height <= cell.width
        cell = Size(cell.height * (2 if is_low else 1), cell.width * (1 if is_low else 2))
    return cell


def _halves(cells: Window) -> list[Window]:
    """A rectangle of at least two cells, cut across its longer side."""
    height, width = cells.size.height, cells.size.width
    if height >= width:
        first = Size(height // 2, width)
        rest = Window(cells.row + first.height, cells.column, Size(height - first.height, width))
    else:
        first = Size(height, width // 2)
        rest = Window(cells.row, cells.column + first.width, Size(height, width - first.width))
    return [Window(cells.row, cells.column, first), rest]


def _rectangles(marked: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> list[Window]:
    """Marked cells as rectangles: runs along rows, joined where rows below have the same run."""
    done: list[Window] = []
    growing: dict[tuple[int, int], Window] = {}
    for row, cells in enumerate(marked):
        edges = np.flatnonzero(np.diff(cells, prepend=False, append=False))
        runs = {(int(first), int(stop)) for first, stop in edges.reshape(-1, 2)}
        done += [growing.pop(run) for run in list(growing) if run not in runs]
        for first, stop in sorted(runs):
            top = growing.get((first, stop), Window(row, first, Size(1, stop - first))).row
            growing[first, stop] = Window(top, first, Size(row + 1 - top, stop - first))
    return sorted([*done, *growing.values()], key=lambda window: (window.row, window.column))
