"""What is kept of the labels after they are written: how much of every class, a small picture."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from glnet.geometry import Size, Window
from glnet.inference.answering import NODATA_LABEL
from glnet.inference.overlay import LabelPicture
from glnet.raster import PixelAreas, Raster


@dataclass(frozen=True)
class ClassShare:
    """How much of an image is of a class.

    Attributes:
        name: Of the class.
        pixels: How many.
        share: Of all pixels that are measurements, in 0..1.
        square_metres: On the ground or the slide; None where nothing tells a pixel's size.
    """

    name: str
    pixels: int
    share: float
    square_metres: float | None

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


class Tally:
    """Counts labels, window by window.

    Args:
        raster: What is labelled.
        class_names: Of its labels, from 0 on.

    Attributes:
        picture: The labels in small.
    """

    def __init__(self, raster: Raster, class_names: list[str]) -> None:
        self.picture = LabelPicture(raster.size)
        self._names = class_names
        self._size: Size = raster.size
        self._areas = PixelAreas(raster.georeference, raster.size)
        self._counts = np.zeros(NODATA_LABEL + 1, np.int64)
        self._metres = np.zeros(NODATA_LABEL + 1)

    def add(self, window: Window, labels: NDArray[np.uint8]) -> None:
        """Count the labels (rows, columns) of a window."""
        self.picture.add(window, labels)
        # One count per row and label: rows may cover different areas.
        rows = np.arange(len(labels))[:, None] * len(self._counts)
        counts = np.bincount((rows + labels).ravel(), minlength=len(labels) * len(self._counts))
        counts = counts.reshape(len(labels), -1)
        self._counts += counts.sum(axis=0)
        areas = self._areas.row_areas(window.row, window.row_stop)
        if areas is not None:
            self._metres += areas @ counts

    @property
    def nodata_pixels(self) -> int:
        """How many pixels are no measurements."""
        return int(self._counts[NODATA_LABEL])

    @property
    def area_basis(self) -> str | None:
        """On what square metres are measured; None where there are none."""
        basis = self._areas.basis
        return None if basis is None else str(basis)

    @property
    def classes(self) -> tuple[ClassShare, ...]:
        """How much of every class there is."""
        measured = max(1, self._size.area - self.nodata_pixels)
        return tuple(
            ClassShare(
                name,
                int(self._counts[label]),
                int(self._counts[label]) / measured,
                None if self.area_basis is None else float(self._metres[label]),
            )
            for label, name in enumerate(self._names)
        )
