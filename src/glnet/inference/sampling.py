"""Small pictures of label maps: the label under the centre of every cell, strip by strip."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from glnet.geometry import Size, Window, strips

Labels = NDArray[np.uint8]

STRIP_PIXELS = 4_000_000
"""About as many labels are held at once."""


def sampled(read: Callable[[Window], Labels], raster: Size, size: Size) -> Labels:
    """The label under the centre of every cell of a picture: (height, width).

    Args:
        read: Gives the labels of a full-width strip.
        raster: Size of what is read.
        size: Size of the picture; any, aspect not kept.
    """
    rows, columns = centres(raster.height, size.height), centres(raster.width, size.width)
    picked = []
    for strip in strips(raster, max(1, STRIP_PIXELS // raster.width)):
        inside = rows[(rows >= strip.row) & (rows < strip.row_stop)] - strip.row
        if inside.size:
            picked.append(read(strip)[inside[:, None], columns])
    return np.concatenate(picked)


def centres(length: int, cells: int) -> NDArray[np.intp]:
    """The pixel under the centre of each of ``cells`` equal parts of ``[0, length)``."""
    return ((np.arange(cells) + 0.5) * length / cells).astype(np.intp)


def fitted(raster: Size, side: int) -> Size:
    """A size of the raster's aspect whose longer side is at most ``side``."""
    scale = min(1.0, side / max(raster.height, raster.width))
    return Size(max(1, round(raster.height * scale)), max(1, round(raster.width * scale)))
