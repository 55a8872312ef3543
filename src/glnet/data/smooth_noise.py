"""Smooth random functions of the unit square that can be sampled anywhere, at any resolution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MEAN_SQUARE = 151 / 315
"""Of a cubic B-spline's weights, along one axis: what smoothing leaves of the variance."""


@dataclass(frozen=True, slots=True)
class SmoothNoise:
    """Cubic splines over a grid of random weights: smooth, and the same at every resolution.

    Attributes:
        weights: (bands, cells + 3, cells + 3).
    """

    weights: NDArray[np.float32]

    @classmethod
    def draw(
        cls, rng: np.random.Generator, bands: int, cells: int, deviation: float
    ) -> "SmoothNoise":
        """Draw one with features of about ``2 / cells`` of the square, and a standard deviation."""
        weights = rng.standard_normal((bands, cells + 3, cells + 3), np.float32)
        return cls((weights * (deviation / _MEAN_SQUARE)).astype(np.float32))

    def sample(
        self, rows: NDArray[np.float32], columns: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Its values at every row with every column, both in [0, 1]: (bands, rows, columns)."""
        cells = self.weights.shape[-1] - 3
        values = spline_matrix(rows, cells) @ self.weights @ spline_matrix(columns, cells).T
        return np.asarray(values, np.float32)


def spline_matrix(points: NDArray[np.float32], cells: int) -> NDArray[np.float32]:
    """The weight of each of ``cells + 3`` cubic B-splines at each point of [0, 1].

    Every row sums to 1 and none is negative: (points, cells + 3).
    """
    position = points * cells
    knots = np.arange(-1, cells + 2, dtype=np.float32)
    distance = np.abs(position[:, None] - knots[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.asarray(np.where(distance < 1, near, far), np.float32)
