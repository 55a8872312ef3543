"""Masks read window by window as class indices."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glnet.data.decoding import Labels, Place, check_kind, decode
from glnet.data.description import DatasetDescription
from glnet.data.encodings import IndexEncoding
from glnet.errors import DatasetError, GeometryError
from glnet.geometry import Size, Window
from glnet.raster import Palette, Raster, RasterFile, open_raster

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

    @property
    def decoded_bytes(self) -> int:
        """Host memory that pixels take from the first `read` until the mask is closed, or 0."""
        return self._raster.decoded_bytes if isinstance(self._raster, RasterFile) else 0

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
    mask: str | Path, description: DatasetDescription, image: str | Path | None = None
) -> Iterator[LabelRaster]:
    """Open a mask as labels; where its image is named, once their sizes are known to be equal.

    Raises:
        RasterError: If a file cannot be opened.
        DatasetError: If the sizes differ, or the mask's pixels are of a kind that the encoding
            cannot mean.
    """
    with open_raster(mask, kept_palette(description)) as raster:
        if image is not None:
            _check_size(raster, image)
        yield LabelRaster(raster, description)


def kept_palette(description: DatasetDescription) -> Palette:
    """How files of masks are opened: index encoding means the raw values, others the colours."""
    is_index = isinstance(description.encoding, IndexEncoding)
    return Palette.KEEP if is_index else Palette.EXPAND


def block_centres(length: int, factor: int) -> NDArray[np.intp]:
    """The middle of each of the intervals that ``factor`` cuts ``[0, length)`` into."""
    starts = np.arange(0, length, factor)
    return (starts + np.minimum(starts + factor, length)) // 2


def _strips(window: Window, height: int) -> Iterator[Window]:
    for row in range(window.row, window.row_stop, height):
        size = Size(min(height, window.row_stop - row), window.size.width)
        yield Window(row, window.column, size)


def _check_size(mask: Raster, image_path: str | Path) -> None:
    with open_raster(image_path) as image:
        if mask.size != image.size:
            raise DatasetError(
                f"{mask.name}: expected the mask to be as large as its image"
                f" ({image.size}, {image.name}), got {mask.size}"
            )
