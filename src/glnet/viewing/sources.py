"""What a layer takes its pixels from: a file, or what a running segmentation has written so far."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from glnet.closing import Closing
from glnet.geometry import Size, Window
from glnet.raster import LABEL_TILE, Masked
from glnet.viewing.encoding import NOTHING
from glnet.viewing.pyramid import Copy, Pyramid
from glnet.viewing.reducing import sampled
from glnet.viewing.tile_store import TileStore

SHRINKS = (1, 8, 64)
"""How many times smaller the copies are that a running segmentation is seen in."""


class Source(Protocol):
    """Pixels at any zoom, of which more may come."""

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        ...

    @property
    def revision(self) -> int:
        """Another number once there is more to see."""
        ...

    @property
    def progress(self) -> float:
        """How much of what there will be is there, in 0..1."""
        ...

    def is_final(self, zoom: int) -> bool:
        """Whether tiles of a zoom stay as they are."""
        ...

    def tile(self, zoom: int, row: int, column: int) -> Masked | None:
        """A tile of the pyramid; None until its pixels can be read.

        Raises:
            RasterError: If the pixels cannot be read, or are no longer those that were opened.
        """
        ...

    def read(self, window: Window) -> Masked | None:
        """A window at full size; None until its pixels can be read.

        Raises:
            RasterError: If the pixels cannot be read, or are no longer those that were opened.
        """
        ...


class GrowingLabels(Closing):
    """Labels that arrive in tiles, in any order; written by one thread, read by others.

    Args:
        name: What to call it in messages.
        size: Height and width of the whole map.
        folder: Where temporary files lie.

    Raises:
        OutputError: If the folder cannot be written to.
    """

    def __init__(self, name: str, size: Size, folder: Path) -> None:
        self.size = size
        self._pixels = 0
        self._stores = {
            times: TileStore(
                name,
                Size(-(-size.height // times), -(-size.width // times)),
                1,
                np.dtype(np.uint8),
                folder,
                LABEL_TILE // times,
            )
            for times in SHRINKS
        }
        copies = [Copy(times, store) for times, store in self._stores.items()]
        self._pyramid = Pyramid(self._stores[1], sampled, folder, copies[1:])

    @property
    def revision(self) -> int:
        """Another number once there is more to see."""
        return self._pixels

    @property
    def progress(self) -> float:
        """How much has arrived, in 0..1."""
        return self._pixels / self.size.area

    def is_final(self, zoom: int) -> bool:
        """Whether all has arrived."""
        return zoom >= 0 and self._pixels >= self.size.area

    def add(self, window: Window, labels: NDArray[np.uint8]) -> None:
        """Show the labels (rows, columns) of a window whose edges are those of tiles.

        Raises:
            OutputError: If the disk is full.
        """
        row, column = window.row // LABEL_TILE, window.column // LABEL_TILE
        for times, store in self._stores.items():
            rows, columns = (_middles(length, times) for length in labels.shape)
            small = labels[rows[:, None], columns]
            store.write(row, column, Masked(small[np.newaxis], None))
        self._pixels += window.size.area

    def tile(self, zoom: int, row: int, column: int) -> Masked:
        """A tile of the pyramid, `NOTHING` where nothing has arrived."""
        return _nothing_where_invalid(self._pyramid.tile(zoom, row, column))

    def read(self, window: Window) -> Masked:
        """A window at full size, likewise."""
        return _nothing_where_invalid(self._pyramid.read(window))

    def close(self) -> None:
        """Give the room back; who still reads finds nothing. Closing twice is no error.

        A page may be at it when a run goes on or ends, and asks anew in a moment.
        """
        for store in self._stores.values():
            store.forget()


def _nothing_where_invalid(found: Masked) -> Masked:
    if found.valid is None:
        return found
    return Masked(np.where(found.valid, found.pixels, np.uint8(NOTHING)), None)


def _middles(length: int, times: int) -> NDArray[np.intp]:
    places = np.arange(-(-length // times)) * times + times // 2
    return np.minimum(places, length - 1)
