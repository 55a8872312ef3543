"""How a raster is made smaller to be looked at: measurements by means, labels by samples."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from glnet.geometry import Size, Window
from glnet.raster import Masked, Raster, masked_reduced, masked_thumbnail

STRIP_PIXELS = 1 << 22
"""About as many pixels of labels are held at once where some of them are wanted."""


class Fit(Protocol):
    """Brings a window of a raster to a size."""

    def __call__(self, raster: Raster, window: Window, size: Size, factor: int | None) -> Masked:
        """The window in so many pixels.

        Args:
            raster: What is read.
            window: Where.
            size: Of the result.
            factor: The side of the blocks whose last ones may be cut short; None where the window
                is not cut into whole pixels.

        Raises:
            RasterError: If the pixels cannot be read.
        """
        ...


def averaged(raster: Raster, window: Window, size: Size, factor: int | None) -> Masked:
    """The mean of what lies under every pixel."""
    if factor is not None:
        return masked_reduced(raster, window, factor)
    return masked_thumbnail(raster, size, window, overviews=False)


def sampled(raster: Raster, window: Window, size: Size, factor: int | None) -> Masked:
    """The pixel in the middle of what lies under every pixel: labels have no mean."""
    if factor == 1:
        return raster.read_masked(window)
    rows = _middles(window.size.height, size.height, factor)
    columns = _middles(window.size.width, size.width, factor)
    pixels = np.zeros((raster.bands, size.height, size.width), raster.dtype)
    valid = np.ones((size.height, size.width), np.bool_)
    step = max(1, STRIP_PIXELS // window.size.width // max(1, int(np.diff(rows).max(initial=1))))
    for start in range(0, size.height, step):
        chosen = rows[start : start + step]
        first, height = int(chosen[0]), int(chosen[-1] - chosen[0]) + 1
        strip = Window(window.row + first, window.column, Size(height, window.size.width))
        found = raster.read_masked(strip)
        places = ((chosen - first)[:, None], columns)
        pixels[:, start : start + step] = found.pixels[:, *places]
        if found.valid is not None:
            valid[start : start + step] = found.valid[places]
    return Masked(pixels, None if valid.all() else valid)


def _middles(length: int, fewer: int, factor: int | None) -> NDArray[np.intp]:
    """Which of ``length`` pixels lies in the middle of each of ``fewer``, or of more."""
    if factor is not None:
        return np.minimum(np.arange(fewer) * factor + factor // 2, length - 1)
    places = (np.arange(fewer) + 0.5) * length / fewer
    return np.minimum(places.astype(np.intp), length - 1)
