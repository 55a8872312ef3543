"""Masks read window by window as class indices."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glnet.data.decoding import Labels, Place, check_kind, decode
from glnet.data.description import DatasetDescription
from glnet.data.encodings import IndexEncoding
from glnet.data.folder import Sample
from glnet.errors import DatasetError, GeometryError
from glnet.geometry import Size, Window
from glnet.raster import Palette, Raster, open_raster

STRIP_PIXELS = 4_000_000
"""About as many pixels are decoded at once where only some of them are wanted."""


class LabelRaster:
    """A mask whose windows read as labels.

    Args:
        raster: The mask's pixels; palette indices kept for index encoding, else expanded.
        description: The classes and how the mask shows them.

    Raises:
        DatasetError: If the pixels are of a kind that the encoding cannot mean.
    """

    def __init__(self, raster: Raster, description: DatasetDescription) -> None:
        check_kind(raster.bands, raster.dtype, description, raster.name)
        self._raster = raster
        self._description = description

    @property
    def name(self) -> str:
        """What to call it in messages: the path, for a file."""
        return self._raster.name

    @property
    def size(self) -> Size:
        """Height and width in pixels, as displayed."""
        return self._raster.size

    def read(self, window: Window) -> Labels:
        """The labels of a window: (height, width) class indices, `IGNORE_INDEX` for ignored.

        Raises:
            GeometryError: If the window is not inside the mask.
            RasterError: If the pixels cannot be read.
            DatasetError: If a pixel stands for no class, naming the first one.
        """
        place = Place(self.name, window.row, window.column)
        return decode(self._raster.read(window), self._description, place)

    def read_nearest(self, window: Window, factor: int) -> Labels:
        """The label at the centre of every ``factor`` x ``factor`` block of a window.

        Blocks start at the window's corner; what the window cuts off has its own centre. Read in
        strips, so that memory does not grow with the window's height.

        Returns:
            (ceil(height / factor), ceil(width / factor)).

        Raises:
            GeometryError: If the window is not inside the mask, or the factor is under 1.
            RasterError: If the pixels cannot be read.
            DatasetError: If a pixel stands for no class, naming the first one.
        """
        if factor < 1:
            raise GeometryError(f"a factor must be at least 1, got {factor}")
        columns = block_centres(window.size.width, factor)
        blocks = max(1, STRIP_PIXELS // (window.size.width * factor))
        picked = [
            self.read(strip)[block_centres(strip.size.height, factor)[:, None], columns]
            for strip in _strips(window, blocks * factor)
        ]
        return np.concatenate(picked)


@contextmanager
def open_labels(
    mask: Sample | str | Path, description: DatasetDescription
) -> Iterator[LabelRaster]:
    """Open a mask as labels; of a sample, once its size is known to be the image's.

    Raises:
        RasterError: If a file cannot be opened.
        DatasetError: If the sample has no mask, the sizes differ, or the mask's pixels are of a
            kind that the encoding cannot mean.
    """
    palette = Palette.KEEP if isinstance(description.encoding, IndexEncoding) else Palette.EXPAND
    with open_raster(_mask_path(mask), palette) as raster:
        if isinstance(mask, Sample):
            _check_size(raster, mask.image)
        yield LabelRaster(raster, description)


def block_centres(length: int, factor: int) -> NDArray[np.intp]:
    """The middle of each of the intervals that ``factor`` cuts ``[0, length)`` into."""
    starts = np.arange(0, length, factor)
    return (starts + np.minimum(starts + factor, length)) // 2


def _strips(window: Window, height: int) -> Iterator[Window]:
    for row in range(window.row, window.row_stop, height):
        size = Size(min(height, window.row_stop - row), window.size.width)
        yield Window(row, window.column, size)


def _mask_path(mask: Sample | str | Path) -> str | Path:
    if not isinstance(mask, Sample):
        return mask
    if mask.mask is None:
        raise DatasetError(f"{mask.image}: the image has no mask to read labels from")
    return mask.mask


def _check_size(mask: Raster, image_path: Path) -> None:
    with open_raster(image_path) as image:
        if mask.size != image.size:
            raise DatasetError(
                f"{mask.name}: expected the mask to be as large as its image"
                f" ({image.size}, {image.name}), got {mask.size}"
            )
