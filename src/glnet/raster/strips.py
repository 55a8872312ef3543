"""A window of a raster, read strip by strip, so that its whole never is in memory."""

from collections.abc import Iterator

import numpy as np

from glnet.geometry import Size, Window, strips
from glnet.raster.protocol import Blocked, Masked, Raster

STRIP_BYTES = 1 << 24
"""About what one strip may take in host memory."""

BLOCK_ROWS = 512
"""Where blocks are unknown, strips that are higher end at multiples of this."""


def read_strips(
    raster: Raster, window: Window, multiple: int, width: int
) -> Iterator[tuple[int, Masked]]:
    """Strips of a window with the row in it where each starts; heights divide by ``multiple``.

    Args:
        raster: What to read.
        window: Where.
        multiple: Of how many rows every strip but the last one has some whole number.
        width: Of a strip in memory: as it is read or as it becomes, whichever is wider.

    Raises:
        RasterError: If the pixels cannot be read.
    """
    height = max(1, STRIP_BYTES // (width * _value_bytes(raster)))
    rows = raster.block.height if isinstance(raster, Blocked) else BLOCK_ROWS
    if height > rows:
        height = height // rows * rows
    height = max(1, height // multiple) * multiple
    for strip in strips(window.size, height):
        place = Window(window.row + strip.row, window.column, strip.size)
        yield strip.row, raster.read_masked(place)


def columns_of_blocks(raster: Raster, window: Window) -> tuple[int, int] | None:
    """The rows of a strip and how many of its columns to read at once, in files of tiles.

    Where full-width strips as high as a tile would take too much memory, lower ones would have
    every tile decoded several times: GDAL does not keep a row of them either. None elsewhere.
    """
    if not isinstance(raster, Blocked) or (raster.dtype.kind == "f" and not raster.has_mask):
        return None
    block, value_bytes = raster.block, _value_bytes(raster)
    if window.size.width * block.height * value_bytes <= STRIP_BYTES:
        return None
    across = STRIP_BYTES // (block.area * value_bytes)
    if not across or block.width >= raster.size.width:
        return None
    return block.height, across * block.width


def aligned_strips(window: Window, height: int) -> Iterator[Window]:
    """Strips of a window, in raster coordinates, that end where blocks of a height do."""
    row = window.row
    while row < window.row_stop:
        stop = min((row // height + 1) * height, window.row_stop)
        yield Window(row, window.column, Size(stop - row, window.size.width))
        row = stop


def _value_bytes(raster: Raster) -> int:
    """What a pixel takes on its way."""
    # Bytes stay bytes; all else becomes float32 beside what was read.
    value_bytes = 1 if raster.dtype == np.uint8 else raster.dtype.itemsize + 4
    # With a mask, values and weights are floats.
    return raster.bands * (value_bytes + (10 if raster.has_mask else 0))
