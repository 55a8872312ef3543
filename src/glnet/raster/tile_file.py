"""Pixels in tiles in an unnamed temporary file: any window is near, and nothing is left behind."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glnet.errors import OutputError, RasterError
from glnet.geometry import Size, Window
from glnet.raster.protocol import Masked
from glnet.raster.room import temporary_room

TILE_WIDTH = 256
MOST_TILE_HEIGHT = 256

TILE_ROW_BYTES = 1 << 23
"""What a row of tiles may take in memory, as long as it has one row of pixels.

A quarter of what GDAL keeps, so that no row of a file without random access is decoded twice.
"""


class TileFile:
    """Uncompressed tiles of pixels and of what is valid, written row of tiles by row of tiles.

    The room is taken when it is made, so that a full disk is met before the work. The file has no
    name where the system allows that: it is gone with the process, however that ends.

    Args:
        size: Of the picture.
        bands: How many.
        dtype: Of its pixels.
        has_mask: Whether it is kept what is valid; else all is.
        folder: Where the file lies.

    Raises:
        OutputError: If there is no room, or the folder cannot be written to.
    """

    def __init__(
        self, size: Size, bands: int, dtype: np.dtype[Any], has_mask: bool, folder: Path
    ) -> None:
        self._size = size
        self._height = _tile_height(size.width * (bands * dtype.itemsize + has_mask))
        self._columns = -(-size.width // TILE_WIDTH)
        shape = (self._height, TILE_WIDTH)
        pixels, valid = ("pixels", dtype, (bands, *shape)), ("valid", np.dtype(np.bool_), shape)
        self._tile = np.dtype([pixels, valid] if has_mask else [pixels])
        self._has_mask = has_mask
        rows = -(-size.height // self._height)
        self._file = temporary_room(rows * self._columns * self._tile.itemsize, folder)

    @property
    def tile_height(self) -> int:
        """How many rows a row of tiles has."""
        return self._height

    def write(self, row: int, masked: Masked) -> None:
        """Put full-width rows in their place.

        Args:
            row: Where they start; a multiple of `tile_height`.
            masked: Of the file's width, and at most `tile_height` rows.

        Raises:
            OutputError: If they cannot be written.
        """
        height = masked.pixels.shape[1]
        tiles = np.zeros(self._columns, self._tile)
        for column, tile in enumerate(tiles):
            place = slice(column * TILE_WIDTH, (column + 1) * TILE_WIDTH)
            part = masked.pixels[:, :, place]
            tile["pixels"][:, :height, : part.shape[2]] = part
            if self._has_mask:
                valid = True if masked.valid is None else masked.valid[:, place]
                tile["valid"][:height, : part.shape[2]] = valid
        try:
            self._file.seek(row // self._height * tiles.nbytes)
            self._file.write(tiles.view(np.uint8).data)
            self._file.flush()
        except OSError as error:
            raise OutputError(f"cannot write a temporary file: {error}; free some space") from error

    def read(self, window: Window) -> Masked:
        """A window of what was written; what was not is 0 and not valid.

        Raises:
            RasterError: If the file cannot be read back.
        """
        size = window.size
        pixels = np.empty((*self._tile["pixels"].shape[:1], size.height, size.width), self._dtype)
        valid = np.ones((size.height, size.width), np.bool_)
        first = window.column // TILE_WIDTH
        columns = slice(window.column - first * TILE_WIDTH, window.column_stop - first * TILE_WIDTH)
        count = -(-window.column_stop // TILE_WIDTH) - first
        for top in range(window.row // self._height, -(-window.row_stop // self._height)):
            tiles = self._tiles(top, first, count)
            start = max(window.row - top * self._height, 0)
            stop = min(window.row_stop - top * self._height, self._height)
            at = top * self._height + start - window.row
            rows = slice(at, at + stop - start)
            pixels[:, rows] = _row(tiles["pixels"])[:, start:stop, columns]
            if self._has_mask:
                valid[rows] = _row(tiles["valid"])[start:stop, columns]
        return Masked(pixels, None if valid.all() else valid)

    def close(self) -> None:
        """Give the room back. Closing twice is no error."""
        self._file.close()

    @property
    def _dtype(self) -> np.dtype[Any]:
        return self._tile["pixels"].base

    def _tiles(self, top: int, first: int, count: int) -> NDArray[Any]:
        tiles = np.empty(count, self._tile)
        try:
            self._file.seek((top * self._columns + first) * self._tile.itemsize)
            found = self._file.readinto(tiles.view(np.uint8).data)
        except OSError as error:
            raise RasterError(f"cannot read a temporary file: {error}; start anew") from error
        if found < tiles.nbytes:
            raise RasterError("a temporary file was cut short by somebody else; start anew")
        return tiles


def _row(tiles: NDArray[Any]) -> NDArray[Any]:
    """Tiles (n, ..., height, width) side by side: (..., height, n * width)."""
    moved = np.moveaxis(tiles, 0, -2)
    return moved.reshape(*moved.shape[:-2], -1)


def _tile_height(row_bytes: int) -> int:
    return min(max(TILE_ROW_BYTES // row_bytes, 1), MOST_TILE_HEIGHT)
