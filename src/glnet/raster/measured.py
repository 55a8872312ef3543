"""Means over those pixels that are measurements."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glnet.raster.protocol import Masked, Pixels, Valid
from glnet.raster.triangle import Floats

LEAST_WEIGHT = 1e-4
"""Under this share of a filter's weight, a mean would be of rounding errors."""


def which_are_measured(of: Masked, weights: int) -> NDArray[np.bool_]:
    """Which values are measurements: (bands or 1, height, width)."""
    shape = (weights, *of.pixels.shape[1:])
    valid = np.broadcast_to(True if of.valid is None else of.valid, shape)
    if of.pixels.dtype.kind != "f":
        return valid
    with np.errstate(over="ignore", invalid="ignore"):
        return valid & np.isfinite(of.pixels.astype(np.float32, copy=False))


def divided(sums: Floats, weights: Floats, dtype: np.dtype[Any]) -> Masked:
    """Means over what was measured; 0 where nothing was."""
    has_any = weights > LEAST_WEIGHT
    weights[~has_any] = np.inf
    sums /= weights
    valid: Valid = np.any(has_any, axis=0)
    return Masked(rounded(sums, dtype), None if valid.all() else valid)


def rounded(means: Floats, dtype: np.dtype[Any]) -> Pixels:
    """Means in the type of their result: uint8, rounded half up, of uint8, else float32."""
    if dtype != np.uint8:
        return means.astype(np.float32)
    means += 0.5
    pixels: NDArray[np.uint8] = np.clip(np.floor(means, out=means), 0, 255).astype(np.uint8)
    return pixels
