"""A raster at every zoom: from its file's own smaller copies, or from some made in one pass."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import RLock
from typing import NamedTuple

import numpy as np

from glnet.closing import Closing
from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster import Masked, Raster
from glnet.raster.overviews import HasOverviews
from glnet.raster.protocol import Blocked
from glnet.viewing.reducing import Fit
from glnet.viewing.tile_store import STORE_SIDE, TileStore

TILE = 512
"""The side of a tile as the page asks for it, in pixels of its zoom."""

MOST_SHRINK = 4
"""A tile is made of at most so many times its pixels along a side."""

STEP = 8
"""How many times smaller a copy is than what it is made of: it takes a 64th of the room."""


class Copy(NamedTuple):
    """A raster in fewer pixels, so many times along a side, about."""

    times: int
    raster: Raster


class Pyramid(Closing):
    """Tiles of a raster at zooms 0, 1, 2, ...: of every pixel, every second, every fourth, ....

    A tile is made from the smallest copy that is large enough. Where none of the file's own copies
    is near, a tile would take half of the file: there, copies are made by `build`, in one pass over
    the file, and until that is done a tile shows what there is.

    Reads from one thread at a time, whoever asks.

    Args:
        raster: What is shown; not closed here.
        fit: How it is made smaller.
        folder: Where copies are kept meanwhile.
        copies: Smaller ones that somebody else makes, if not the file's own.
    """

    def __init__(
        self, raster: Raster, fit: Fit, folder: Path, copies: Sequence[Copy] | None = None
    ) -> None:
        self.size = raster.size
        self.lock = RLock()
        self.done, self.total = 0, 0
        self._fit, self._folder = fit, folder
        self._files = ExitStack()
        smaller: Iterable[Copy] = self._own(raster) if copies is None else copies
        self._copies = [Copy(1, raster), *smaller]
        self._made: list[Copy] = []
        self._is_built = False
        last = self._copies[-1].times
        while copies is None and self.largest_shrink > MOST_SHRINK * last:
            last *= STEP
            self._made.append(self._empty(last, (self._made or self._copies)[-1].raster))
            self.total += math.prod(_tiles(self._made[-1].raster.size, STORE_SIDE))

    @property
    def zooms(self) -> int:
        """How many there are; at the last one, all of the raster is one tile."""
        return zooms_of(self.size)

    @property
    def largest_shrink(self) -> int:
        """How many times smaller the raster is at the last zoom."""
        return 1 << (self.zooms - 1)

    @property
    def needs_building(self) -> bool:
        """Whether copies are to be made."""
        return bool(self._made) and not self._is_built

    def is_final(self, zoom: int) -> bool:
        """Whether tiles of a zoom stay as they are."""
        return self._is_built or self._copy_for(1 << zoom) not in self._made

    def tile(self, zoom: int, row: int, column: int) -> Masked:
        """A tile, `TILE` pixels high and wide or what is left of the raster there.

        Raises:
            GeometryError: If there is no such tile.
            RasterError: If the pixels cannot be read.
        """
        at = _smaller(self.size, 1 << zoom)
        top, left = row * TILE, column * TILE
        size = Size(min(TILE, at.height - top), min(TILE, at.width - left))
        copy = self._copy_for(1 << zoom)
        window, factor = _scaled(Window(top, left, size), 1 << zoom, self.size, copy)
        with self.lock:
            return self._fit(copy.raster, window, size, factor)

    def whole(self, size: Size) -> Masked:
        """All of it in some pixels, from the smallest copy that is large enough.

        Raises:
            RasterError: If the pixels cannot be read.
        """
        shrink = max(1, self.size.height // size.height)
        copy = self._copy_for(shrink)
        with self.lock:
            return self._fit(copy.raster, Window(0, 0, copy.raster.size), size, None)

    def read(self, window: Window) -> Masked:
        """A window of the raster itself.

        Raises:
            GeometryError: If it is not inside.
            RasterError: If the pixels cannot be read.
        """
        with self.lock:
            return self._copies[0].raster.read_masked(window)

    def build(self, goes_on: Callable[[], bool]) -> None:
        """Make the copies that are missing.

        Args:
            goes_on: Asked after every few tiles; the rest is left out once it says no.

        Raises:
            RasterError: If pixels cannot be read.
            OutputError: If the disk is full.
        """
        source = self._copies[-1].raster
        for copy in self._made:
            assert isinstance(copy.raster, TileStore)
            for window in passes(source, STORE_SIDE * STEP):
                if not goes_on():
                    return
                self._add(source, window, copy.raster)
            source = copy.raster
        self._is_built = True

    def close(self) -> None:
        """Close the copies. Closing twice is no error."""
        with self.lock:
            self._files.close()

    def _own(self, raster: Raster) -> Iterator[Copy]:
        """The file's own, each smaller than the one before."""
        if not isinstance(raster, HasOverviews):
            return
        for number, times in enumerate(raster.overviews):
            try:
                smaller = self._files.enter_context(raster.overview(number))
            except RasterError:  # A damaged one is not missed.
                continue
            yield Copy(times, smaller)

    def _empty(self, times: int, source: Raster) -> Copy:
        # Means of whole numbers of over 8 bits are fractions.
        is_kept = source.dtype == np.uint8
        dtype = source.dtype if is_kept else np.dtype(np.float32)
        size = _smaller(source.size, STEP)
        store = TileStore(source.name, size, source.bands, dtype, self._folder)
        return Copy(times, self._files.enter_context(store))

    def _copy_for(self, shrink: int) -> Copy:
        return [of for of in (*self._copies, *self._made) if of.times <= shrink][-1]

    def _add(self, source: Raster, window: Window, store: TileStore) -> None:
        if self._is_there(window, store):  # Made before this was left.
            return
        with self.lock:
            found = self._fit(source, window, _smaller(window.size, STEP), STEP)
        top, left = window.row // STEP, window.column // STEP
        for row in range(0, found.pixels.shape[1], STORE_SIDE):
            for column in range(0, found.pixels.shape[2], STORE_SIDE):
                at = ((top + row) // STORE_SIDE, (left + column) // STORE_SIDE)
                place = (slice(row, row + STORE_SIDE), slice(column, column + STORE_SIDE))
                valid = None if found.valid is None else found.valid[place]
                tile = Masked(found.pixels[:, *place], valid)
                store.write(*at, tile)
                self.done += 1

    def _is_there(self, window: Window, store: TileStore) -> bool:
        """Whether the last tile that is made of a window has arrived."""
        return store.has(
            (window.row_stop - 1) // STEP // STORE_SIDE,
            (window.column_stop - 1) // STEP // STORE_SIDE,
        )


def zooms_of(size: Size) -> int:
    """How many zooms a raster has: at the last one, all of it is one tile."""
    return 1 + max(0, math.ceil(math.log2(max(size.height, size.width) / TILE)))


def is_tile(size: Size, zoom: int, row: int, column: int) -> bool:
    """Whether a raster has such a tile."""
    if not 0 <= zoom < zooms_of(size):  # Known before anything is computed with it.
        return False
    rows, columns = _tiles(_smaller(size, 1 << zoom), TILE)
    return 0 <= row < rows and 0 <= column < columns


def passes(raster: Raster, side: int) -> Iterator[Window]:
    """All of a raster, from above: squares, or full rows where they are decoded together."""
    block = raster.block if isinstance(raster, Blocked) else raster.size
    width = raster.size.width if block.width >= raster.size.width else side
    for row in range(0, raster.size.height, side):
        height = min(side, raster.size.height - row)
        for column in range(0, raster.size.width, width):
            yield Window(row, column, Size(height, min(width, raster.size.width - column)))


def _smaller(size: Size, times: int) -> Size:
    return Size(-(-size.height // times), -(-size.width // times))


def _tiles(size: Size, side: int) -> tuple[int, int]:
    return -(-size.height // side), -(-size.width // side)


def _scaled(window: Window, shrink: int, full: Size, copy: Copy) -> tuple[Window, int | None]:
    """A window at a zoom, in pixels of a copy; and how many of them a pixel has, if it is whole."""
    size = copy.raster.size
    if size == _smaller(full, copy.times) and shrink % copy.times == 0:
        factor = shrink // copy.times
        rows = (window.row * factor, min(window.row_stop * factor, size.height))
        columns = (window.column * factor, min(window.column_stop * factor, size.width))
        return _between(rows, columns), factor
    # To the nearest pixel of the copy.
    down, across = shrink * size.height / full.height, shrink * size.width / full.width
    rows = _nearest(window.row, window.row_stop, down, size.height)
    columns = _nearest(window.column, window.column_stop, across, size.width)
    return _between(rows, columns), None


def _between(rows: tuple[int, int], columns: tuple[int, int]) -> Window:
    return Window(rows[0], columns[0], Size(rows[1] - rows[0], columns[1] - columns[0]))


def _nearest(first: int, stop: int, times: float, length: int) -> tuple[int, int]:
    start = min(round(first * times), length - 1)
    return start, max(start + 1, min(round(stop * times), length))
