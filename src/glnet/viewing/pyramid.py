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


class Copy(NamedTuple):
    """A raster in fewer pixels, so many times along a side, about."""

    times: int
    raster: Raster


class _Missing(NamedTuple):
    """A copy that is to be made: of what, how many times smaller along a side than that."""

    source: Raster
    copy: Copy
    step: int


class Pyramid(Closing):
    """Tiles of a raster at zooms 0, 1, 2, ...: of every pixel, every second, every fourth, ....

    A tile is made from the smallest copy that is large enough. Where none of the file's own copies
    is near, beyond the last of them or between two, a tile would take half of the file: there,
    copies are made by `build`, each in one pass over the next larger one, and until that is done a
    tile shows what there is, and for the rest a smaller copy, if the file has one.

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
        self._missing: list[_Missing] = []
        self._is_built = False
        if copies is None:
            self._find_missing()

    @property
    def zooms(self) -> int:
        """How many there are; at the last one, all of the raster is one tile."""
        return zooms_of(self.size)

    @property
    def needs_building(self) -> bool:
        """Whether copies are to be made."""
        return bool(self._missing) and not self._is_built

    def is_final(self, zoom: int) -> bool:
        """Whether tiles of a zoom stay as they are."""
        return self._is_built or not self._is_made(self._copy_for(1 << zoom))

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
        place = Window(top, left, size)
        with self.lock:
            found = self._fitted(copy, place, 1 << zoom)
            coarser = [of for of in self._copies if of.times > 1 << zoom and not self._is_made(of)]
            if self.is_final(zoom) or not coarser:
                return found
            return _filled(found, self._fitted(coarser[0], place, 1 << zoom))

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
        for missing in self._missing:
            for window in passes(missing.source, STORE_SIDE * missing.step):
                if not goes_on():
                    return
                self._add(missing, window)
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

    def _find_missing(self) -> None:
        """Put an empty copy wherever a zoom's tiles would be made of too many pixels."""
        for zoom in range(self.zooms):
            shrink = 1 << zoom
            near = self._copy_for(shrink)
            if shrink > MOST_SHRINK * near.times:
                # 8 of powers of two: the copy takes a 64th of the room.
                step = shrink // near.times
                copy = Copy(near.times * step, self._empty(near.raster, step))
                self._copies.insert(self._copies.index(near) + 1, copy)
                self._missing.append(_Missing(near.raster, copy, step))
                self.total += math.prod(_tiles(copy.raster.size, STORE_SIDE))

    def _empty(self, source: Raster, step: int) -> TileStore:
        # Means of whole numbers of over 8 bits are fractions.
        is_kept = source.dtype == np.uint8
        dtype = source.dtype if is_kept else np.dtype(np.float32)
        size = _smaller(source.size, step)
        store = TileStore(source.name, size, source.bands, dtype, self._folder)
        return self._files.enter_context(store)

    def _is_made(self, copy: Copy) -> bool:
        return any(missing.copy is copy for missing in self._missing)

    def _fitted(self, copy: Copy, place: Window, shrink: int) -> Masked:
        """A place at a zoom, in its pixels."""
        window, factor = _scaled(place, shrink, self.size, copy)
        return self._fit(copy.raster, window, place.size, factor)

    def _copy_for(self, shrink: int) -> Copy:
        return [of for of in self._copies if of.times <= shrink][-1]

    def _add(self, missing: _Missing, window: Window) -> None:
        source, (_, store), step = missing
        assert isinstance(store, TileStore)
        if _is_there(window, store, step):  # Made before this was left.
            return
        with self.lock:
            found = self._fit(source, window, _smaller(window.size, step), step)
        top, left = window.row // step, window.column // step
        for row in range(0, found.pixels.shape[1], STORE_SIDE):
            for column in range(0, found.pixels.shape[2], STORE_SIDE):
                at = ((top + row) // STORE_SIDE, (left + column) // STORE_SIDE)
                place = (slice(row, row + STORE_SIDE), slice(column, column + STORE_SIDE))
                valid = None if found.valid is None else found.valid[place]
                tile = Masked(found.pixels[:, *place], valid)
                store.write(*at, tile)
                self.done += 1


def _is_there(window: Window, store: TileStore, step: int) -> bool:
    """Whether the last tile that is made of a window has arrived."""
    return store.has(
        (window.row_stop - 1) // step // STORE_SIDE,
        (window.column_stop - 1) // step // STORE_SIDE,
    )


def _filled(found: Masked, other: Masked) -> Masked:
    """What is found, and the other where nothing is."""
    if found.valid is None:
        return found
    pixels = np.where(found.valid, found.pixels, other.pixels.astype(found.pixels.dtype))
    return Masked(pixels, None if other.valid is None else found.valid | other.valid)


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
