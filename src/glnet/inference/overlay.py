"""The picture to look at: the raster in small, tinted by its labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glnet.geometry import Size, Window
from glnet.inference.sampling import centres, fitted
from glnet.raster import STRIP_BYTES, Raster, draw_overlay, thumbnail, to_display

LONGEST_SIDE = 2048
"""Of the picture, in pixels; smaller rasters are shown as large as they are."""

STRETCHING_BYTES = 36
"""Per pixel: a band in float64, several times, while its percentiles are found."""

Labels = NDArray[np.uint8]


def overlay_bytes(raster: Raster) -> int:
    """What drawing the picture takes in host memory at most."""
    pixels = fitted(raster.size, LONGEST_SIDE).area
    value = 1 if raster.dtype == np.uint8 else 4
    small = raster.bands * value
    shrinking = 8 * raster.bands + small  # sums, in float64
    grey = 3 * value if raster.bands < 3 else 0
    showing = small + grey + 6 + (STRETCHING_BYTES if value > 1 else 0)
    # And its labels, which wait all the time.
    return pixels * (1 + max(shrinking, showing)) + 2 * STRIP_BYTES


def overlay_beside(output: Path) -> Path:
    """Where the overlay of a label map goes: ``scene.tif`` has ``scene_overlay.png``."""
    return output.with_name(f"{output.stem}_overlay.png")


class LabelPicture:
    """The labels under the centres of a small picture's pixels, collected strip by strip.

    Args:
        raster: Size of the label map.
        side: The most that the picture's longer side may have; its aspect is the raster's.
    """

    def __init__(self, raster: Size, side: int = LONGEST_SIDE) -> None:
        size = fitted(raster, side)
        self._rows = centres(raster.height, size.height)
        self._columns = centres(raster.width, size.width)
        self._labels = np.zeros((size.height, size.width), dtype=np.uint8)

    @property
    def labels(self) -> Labels:
        """What was collected so far: (height, width) of the picture."""
        return self._labels

    def add(self, window: Window, labels: Labels) -> None:
        """Take what the picture needs of the labels (rows, columns) of a window."""
        rows = slice(*np.searchsorted(self._rows, (window.row, window.row_stop)))
        columns = slice(*np.searchsorted(self._columns, (window.column, window.column_stop)))
        self._labels[rows, columns] = labels[
            (self._rows[rows] - window.row)[:, np.newaxis], self._columns[columns] - window.column
        ]

    def over(
        self,
        raster: Raster,
        colors: Sequence[tuple[int, int, int]],
        boxes: Sequence[Window] = (),
    ) -> NDArray[np.uint8]:
        """The raster in small with the labels, and frames of boxes, on top: (height, width, 3).

        Raises:
            RasterError: If the raster's pixels cannot be read.
        """
        size = Size(*self._labels.shape)
        picture = draw_overlay(to_display(thumbnail(raster, size)), self._labels, colors)
        for box in boxes:
            _draw_frame(picture, box, raster.size)
        return picture


FRAME_COLORS: tuple[tuple[int, int, int], ...] = ((255, 255, 255), (0, 0, 0))
"""Lines beside each other, the outer one first: one of them shows on any picture."""


def _draw_frame(picture: NDArray[np.uint8], box: Window, raster: Size) -> None:
    height, width = picture.shape[:2]
    down, across = height / raster.height, width / raster.width
    top, left = int(box.row * down), int(box.column * across)
    bottom, right = int(np.ceil(box.row_stop * down)), int(np.ceil(box.column_stop * across))
    thick = max(1, max(height, width) // 500)
    for number, color in enumerate(FRAME_COLORS):
        inner, outer = (number + 1) * thick, number * thick
        rows, columns = slice(top + outer, bottom - outer), slice(left + outer, right - outer)
        picture[rows, left + outer : left + inner] = color
        picture[rows, right - inner : right - outer] = color
        picture[top + outer : top + inner, columns] = color
        picture[bottom - inner : bottom - outer, columns] = color
