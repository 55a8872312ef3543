"""Tiles that are written one by one while others read them, in an unnamed temporary file."""

import tempfile
import zlib
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from glnet.closing import Closing
from glnet.errors import OutputError, RasterError
from glnet.geometry import Size, Window
from glnet.raster import Georeference, Masked
from glnet.raster.protocol import Pixels, require_inside

STORE_SIDE = 256
"""The side of a tile."""

FASTEST = 1
"""zlib's level: labels shrink to a hundredth, and a tile of a photograph takes milliseconds."""


class TileStore(Closing):
    """A raster whose tiles arrive in any order; what has not arrived is no measurement.

    Tiles lie compressed behind each other, so that the file grows with what has arrived. It has no
    name where the system allows that: it is gone with the process, however that ends. May be
    written by one thread while others read.

    Args:
        name: What to call it in messages.
        size: Height and width of the whole raster.
        bands: How many.
        dtype: Of its pixels.
        folder: Where the file lies.
        side: Of its tiles.

    Raises:
        OutputError: If the folder cannot be written to.
    """

    def __init__(
        self,
        name: str,
        size: Size,
        bands: int,
        dtype: np.dtype[Any],
        folder: Path,
        side: int = STORE_SIDE,
    ) -> None:
        self.name, self.size, self.bands, self.dtype = name, size, bands, dtype
        self.georeference = Georeference()
        self.nodata: float | None = None
        self.has_mask = True
        self.block = Size(side, side)
        self._places: dict[tuple[int, int], tuple[int, int]] = {}
        self._end = 0
        self._lock = Lock()
        try:
            self._file = tempfile.TemporaryFile(dir=folder, prefix="glnet-view-")  # noqa: SIM115
        except OSError as error:
            raise OutputError(
                f"cannot make a temporary file in {folder}: {error}; choose another folder"
            ) from error

    def write(self, row: int, column: int, tile: Masked) -> None:
        """Put a tile in its place.

        Args:
            row: Of tiles, from 0 on.
            column: Likewise.
            tile: As large as the raster allows there.

        Raises:
            OutputError: If the disk is full.
        """
        valid = tile.valid
        parts = [np.ascontiguousarray(tile.pixels, self.dtype).tobytes()]
        if valid is not None:
            parts.append(np.packbits(valid).tobytes())
        data = zlib.compress(b"".join(parts), FASTEST)
        with self._lock:
            try:
                self._file.seek(self._end)
                self._file.write(data)
                self._file.flush()
            except (OSError, ValueError) as error:
                raise OutputError(f"cannot write a temporary file: {error}") from error
            self._places[row, column] = (self._end, len(data))
            self._end += len(data)

    def has(self, row: int, column: int) -> bool:
        """Whether a tile has arrived."""
        with self._lock:
            return (row, column) in self._places

    def read(self, window: Window) -> Pixels:
        """The pixels of a window, (bands, height, width)."""
        return self.read_masked(window).pixels

    def read_masked(self, window: Window) -> Masked:
        """The pixels of a window, and which of them have arrived and are measurements.

        Raises:
            GeometryError: If the window is not inside.
            RasterError: If the file cannot be read back.
        """
        require_inside(window, self)
        side = self.block.height
        pixels = np.zeros((self.bands, window.size.height, window.size.width), self.dtype)
        valid = np.zeros(pixels.shape[1:], np.bool_)
        for row in range(window.row // side, -(-window.row_stop // side)):
            for column in range(window.column // side, -(-window.column_stop // side)):
                tile = self._tile(row, column)
                if tile is None:
                    continue
                place = self._place(row, column)
                shared = place.shared(window)
                assert shared is not None
                here = shared_slices(shared, window)
                there = shared_slices(shared, place)
                pixels[:, *here] = tile.pixels[:, *there]
                valid[here] = True if tile.valid is None else tile.valid[there]
        return Masked(pixels, None if valid.all() else valid)

    def close(self) -> None:
        """Give the room back. Closing twice is no error."""
        with self._lock:
            self._file.close()

    def forget(self) -> None:
        """Give the room back, and let readers find that nothing has arrived."""
        with self._lock:
            self._places.clear()
            self._file.close()

    def _place(self, row: int, column: int) -> Window:
        side = self.block.height
        top, left = row * side, column * side
        height, width = min(side, self.size.height - top), min(side, self.size.width - left)
        return Window(top, left, Size(height, width))

    def _tile(self, row: int, column: int) -> Masked | None:
        with self._lock:
            found = self._places.get((row, column))
            if found is None:
                return None
            try:
                self._file.seek(found[0])
                data = self._file.read(found[1])
            except (OSError, ValueError) as error:
                raise RasterError(f"cannot read a temporary file: {error}") from error
        size = self._place(row, column).size
        return self._decoded(zlib.decompress(data), size)

    def _decoded(self, data: bytes, size: Size) -> Masked:
        length = self.bands * size.area * self.dtype.itemsize
        shape = (self.bands, size.height, size.width)
        pixels = np.frombuffer(data[:length], self.dtype).reshape(shape)
        if len(data) == length:
            return Masked(pixels, None)
        bits = np.unpackbits(np.frombuffer(data[length:], np.uint8), count=size.area)
        return Masked(pixels, bits.reshape(shape[1:]).astype(np.bool_))


def shared_slices(shared: Window, of: Window) -> tuple[slice, slice]:
    """Where a window that lies in another one lies in that one's array."""
    return Window(shared.row - of.row, shared.column - of.column, shared.size).slices
