"""Where a slide shows tissue, and a raster that leaves out the rest."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster.protocol import Georeference, Masked, Pixels, Raster, Valid, require_inside
from glnet.raster.thumbnails import masked_thumbnail
from glnet.raster.views import LayeredView

THUMBNAIL_SIDE = 2048
"""The longer side of the thumbnail that tissue is sought in, at most."""

LEAST_COLOUR, MOST_COLOUR = 10, 40
"""The bounds of the threshold: under the first is glass, whatever else there is; over the second
tissue, also where nothing is glass and the best threshold would lie within the tissue."""

SPECK, HOLE = 5, 9
"""Sides of squares, in pixels of the thumbnail: tissue under half of the first is dust; glass that
does not hold the second is tissue."""


def tissue_mask(pixels: Pixels, valid: Valid | None = None) -> Valid:
    """Where colours are not grey: stained tissue, as glass, shadows and black edges are grey.

    Colour is the difference of the largest and the smallest of red, green and blue. The threshold
    is Otsu's, within bounds; then dust goes (a median) and small holes close.

    Args:
        pixels: (3, height, width) uint8.
        valid: What the scanner has seen, (height, width); all by default.

    Returns:
        (height, width).

    Raises:
        RasterError: If the pixels are not such.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or len(pixels) != 3:
        raise RasterError(
            f"tissue is sought in 8-bit pixels (3, height, width), got {pixels.shape} of "
            f"{pixels.dtype}"
        )
    colour = pixels.max(axis=0) - pixels.min(axis=0)
    if valid is not None:
        colour[~valid] = 0
    seen = colour if valid is None else colour[valid]
    threshold = np.clip(otsu_threshold(np.bincount(seen.ravel(), minlength=256)), *_BOUNDS)
    picture = Image.fromarray((colour > threshold).astype(np.uint8) * 255)
    for change in (
        ImageFilter.MedianFilter(SPECK),
        ImageFilter.MaxFilter(HOLE),
        ImageFilter.MinFilter(HOLE),
    ):
        picture = picture.filter(change)
    return np.asarray(picture) > 0


_BOUNDS = (LEAST_COLOUR, MOST_COLOUR)


def otsu_threshold(counts: NDArray[np.integer]) -> int:
    """The value that parts a histogram best: the largest variance between both sides' means.

    Args:
        counts: How often every value from 0 on occurs.

    Returns:
        The last value of the lower side; 0 where all values are the same.
    """
    values = np.arange(len(counts))
    below = np.cumsum(counts).astype(float)
    above = below[-1] - below
    sums = np.cumsum(counts * values).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    apart = np.where((below > 0) & (above > 0), apart, 0.0)
    return int(np.argmax(apart))


def find_tissue(raster: Raster) -> Valid:
    """`tissue_mask` of a raster's thumbnail of at most `THUMBNAIL_SIDE` pixels a side.

    Overviews, such as a slide's coarser levels, are used.

    Raises:
        RasterError: If the raster is not of three bands of 8 bits, or cannot be read.
    """
    size = raster.size
    shrink = max(1.0, max(size.height, size.width) / THUMBNAIL_SIDE)
    small = Size(max(1, int(size.height / shrink)), max(1, int(size.width / shrink)))
    return tissue_mask(*masked_thumbnail(raster, small))


class TissueRaster(LayeredView):
    """A raster in which only tissue counts as measured.

    Args:
        raster: What is seen; not closed here.
        tissue: Where there is tissue, of any size that shows the whole raster; each pixel follows
            the nearest. `find_tissue` makes it.
    """

    def __init__(self, raster: Raster, tissue: Valid) -> None:
        super().__init__(raster)
        self._tissue = tissue

    @property
    def georeference(self) -> Georeference:
        """Where the raster lies on Earth: this view stands for the raster itself."""
        return self.raster.georeference

    @property
    def has_mask(self) -> bool:
        """Always."""
        return True

    def alike(self, smaller: Raster) -> Raster:
        """With the same tissue."""
        return TissueRaster(smaller, self._tissue)

    def read_masked(self, window: Window) -> Masked:
        """The pixels of a window, as they are, and which of them are measured tissue.

        Raises:
            GeometryError: If the window is not inside the raster.
            RasterError: If the pixels cannot be read.
        """
        require_inside(window, self)
        found = self.raster.read_masked(window)
        rows = _nearest(window.row, window.row_stop, self.size.height, self._tissue.shape[0])
        columns = _nearest(
            window.column, window.column_stop, self.size.width, self._tissue.shape[1]
        )
        valid = self._tissue[rows[:, None], columns]
        if found.valid is not None:
            valid &= found.valid
        return Masked(found.pixels, None if valid.all() else valid)


def _nearest(start: int, stop: int, length: int, fewer: int) -> NDArray[np.int64]:
    """Which of ``fewer`` cells the middles of pixels lie in."""
    return (2 * np.arange(start, stop) + 1) * fewer // (2 * length)
