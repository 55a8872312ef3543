"""Pillow's BILINEAR filter along one axis: which pixels make each pixel of the result."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FIXED_POINT_ONE = 1 << 22
"""Pillow filters 8-bit pixels with weights rounded to whole parts of this."""

SECTION = 256
"""Columns that are filtered together: few, since each says nothing to most columns of a result."""

Floats = NDArray[np.float64]


class Reach(NamedTuple):
    """The input rows that make one output row, and their weights."""

    start: int
    weights: Floats

    @property
    def stop(self) -> int:
        """The first input row below."""
        return self.start + len(self.weights)


def triangle_reaches(length: int, target: int) -> list[Reach]:
    """Which of ``length`` input rows make each of ``target`` output rows, and with which weights.

    As in Pillow: a triangle as wide as two output rows (two input rows, if those are wider) about
    the output row's centre, cut at the ends and divided by its sum.
    """
    scale = length / target
    support = max(scale, 1.0)
    reaches = []
    for row in range(target):
        center = (row + 0.5) * scale
        start = max(int(center - support + 0.5), 0)
        stop = min(int(center + support + 0.5), length)
        offsets = (np.arange(start, stop) - center + 0.5) / support
        weights = np.maximum(1.0 - np.abs(offsets), 0.0)
        # Rows at the very edge of the triangle weigh nothing: a NaN there must not count either.
        used = np.flatnonzero(weights)
        weights = weights[used[0] : used[-1] + 1]
        reaches.append(Reach(start + int(used[0]), weights / weights.sum()))
    return reaches


def fixed_point(reaches: list[Reach]) -> list[Reach]:
    """The weights as the whole numbers that Pillow uses for 8-bit pixels."""
    return [Reach(start, np.floor(weights * FIXED_POINT_ONE + 0.5)) for start, weights in reaches]


def from_fixed_point(sums: Floats) -> NDArray[np.uint8]:
    """Sums of 8-bit pixels, weighted by `fixed_point`, as 8-bit pixels; the sums are used up."""
    # Whole numbers times whole numbers, under 2**53: float64 has added them up exactly. In place,
    # as they are the largest thing there is.
    sums += FIXED_POINT_ONE / 2
    sums /= FIXED_POINT_ONE
    pixels: NDArray[np.uint8] = np.clip(np.floor(sums, out=sums), 0, 255, out=sums).astype(np.uint8)
    return pixels


class ColumnFilter:
    """The filter along rows, a few columns of the input at a time.

    In whole numbers the order of addition does not matter: the sums are exact.

    Args:
        reaches: The input columns of every output column, in order.
    """

    def __init__(self, reaches: list[Reach]) -> None:
        self._reaches = reaches
        self._starts = np.array([reach.start for reach in reaches])
        self._stops = np.array([reach.stop for reach in reaches])

    def add(self, sums: Floats, values: NDArray[np.generic], first: int) -> None:
        """Add columns of the input to the sums that they reach.

        Args:
            sums: (bands, height, outputs), changed in place.
            values: (bands, height, columns); finite.
            first: Which column of the input is the first.
        """
        for left in range(0, values.shape[2], SECTION):
            part = values[:, :, left : left + SECTION].astype(np.float64)
            outputs, weights = self._weights(first + left, part.shape[2])
            # As one matrix: a product per band took twice as long.
            product = part.reshape(-1, part.shape[2]) @ weights
            sums[:, :, outputs] += product.reshape(*part.shape[:2], -1)

    def _weights(self, start: int, count: int) -> tuple[slice, Floats]:
        """What ``count`` columns from ``start`` on weigh in which outputs: (count, outputs)."""
        stop = start + count
        low = int(np.searchsorted(self._stops, start, side="right"))
        high = int(np.searchsorted(self._starts, stop, side="left"))
        weights = np.zeros((count, high - low))
        for column, reach in enumerate(self._reaches[low:high]):
            first, last = max(reach.start, start), min(reach.stop, stop)
            weights[first - start : last - start, column] = reach.weights[
                first - reach.start : last - reach.start
            ]
        return slice(low, high), weights
