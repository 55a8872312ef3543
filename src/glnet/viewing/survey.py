"""How much of an image is of every class, how sure that is, and how right: one pass over files."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glnet.geometry import Size
from glnet.raster import Georeference, PixelAreas
from glnet.raster.writing.scores import SCORE_STEPS
from glnet.viewing.encoding import NOTHING
from glnet.viewing.layers import as_labels, as_steps
from glnet.viewing.pyramid import passes
from glnet.viewing.shown_file import ShownFile

SIDE = 2048
"""Of what is read at once."""

VALUES = NOTHING + 1


@dataclass(frozen=True, eq=False)
class Survey:
    """What was counted.

    Attributes:
        pixels: Of every label, (256,).
        square_metres: Likewise; None where nothing tells a pixel's size.
        basis: On what they are measured.
        matrix: By true class (rows) and label (columns), (256, 256); None without a truth.
        confidence: The mean, in 0..1; None without one.
    """

    pixels: NDArray[np.int64]
    square_metres: NDArray[np.float64] | None
    basis: str | None
    matrix: NDArray[np.int64] | None
    confidence: float | None

    @property
    def overlaps(self) -> dict[int, float]:
        """The IoU of every class that there is in truth or labels; without a truth, none."""
        if self.matrix is None:
            return {}
        known = self.matrix[:NOTHING]
        right = np.diagonal(self.matrix)[:NOTHING]
        union = known.sum(axis=1) + known.sum(axis=0)[:NOTHING] - right
        return {int(of): float(right[of] / union[of]) for of in np.flatnonzero(union)}

    @property
    def score(self) -> float | None:
        """The mean of these; None without a truth."""
        found = self.overlaps.values()
        return sum(found) / len(found) if found else None

    @property
    def accuracy(self) -> float | None:
        """The share of pixels with a truth whose label is right; None without any."""
        if self.matrix is None or not (total := self.matrix[:NOTHING].sum()):
            return None
        return float(np.diagonal(self.matrix)[:NOTHING].sum() / total)


def survey(
    labels: ShownFile,
    truth: ShownFile | None,
    confidence: ShownFile | None,
    place: Georeference,
    goes_on: Callable[[], bool],
) -> Survey | None:
    """Count a label map; None if it is left, or a file is not ready.

    Args:
        labels: What is counted.
        truth: What it is compared with.
        confidence: How sure it is.
        place: Where the image lies on Earth.
        goes_on: Asked now and then.

    Raises:
        RasterError: If the pixels cannot be read.
    """
    counting = _Counting(place, labels.size, has_truth=truth is not None)
    for window in passes(labels.file, SIDE):
        found = labels.read(window)
        if found is None or not goes_on():
            return None
        values = as_labels(found)
        counting.add(window.row, values)
        if truth is not None:
            true = truth.read(window)
            if true is None:
                return None
            counting.compare(values, as_labels(true))
        if confidence is not None:
            sure = confidence.read(window)
            if sure is None:
                return None
            counting.weigh(as_steps(sure))
    return counting.result(has_confidence=confidence is not None)


class _Counting:
    def __init__(self, place: Georeference, size: Size, *, has_truth: bool) -> None:
        self._areas = PixelAreas(place, size)
        self._pixels = np.zeros(VALUES, np.int64)
        self._metres = np.zeros(VALUES)
        self._matrix = np.zeros((VALUES, VALUES), np.int64) if has_truth else None
        self._steps, self._sure = 0, 0

    def add(self, row: int, labels: NDArray[np.uint8]) -> None:
        areas = self._areas.row_areas(row, row + len(labels))
        if areas is None:
            self._pixels += np.bincount(labels.ravel(), minlength=VALUES)
            return
        for area, line in zip(areas, labels, strict=True):
            counts = np.bincount(line, minlength=VALUES)
            self._pixels += counts
            self._metres += area * counts

    def compare(self, labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
        assert self._matrix is not None
        pairs = truth.astype(np.int32).ravel() * VALUES + labels.ravel()
        self._matrix += np.bincount(pairs, minlength=VALUES**2).reshape(VALUES, VALUES)

    def weigh(self, steps: NDArray[np.uint8]) -> None:
        is_known = steps != NOTHING
        self._steps += int(steps[is_known].sum(dtype=np.int64))
        self._sure += int(is_known.sum())

    def result(self, *, has_confidence: bool) -> Survey:
        basis = self._areas.basis
        sure = self._steps / SCORE_STEPS / max(1, self._sure)
        return Survey(
            self._pixels,
            None if basis is None else self._metres,
            None if basis is None else str(basis),
            self._matrix,
            sure if has_confidence and self._sure else None,
        )
