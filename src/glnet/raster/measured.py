"""Means over those pixels that are measurements, band by band where bands differ.

Of one pixel, some bands may be measurements and others not. Floats that are not are NaN, or became
it when they were read. Integers have no such value: they keep the file's nodata value, and what is
made of them, here, compares. Bytes are never looked at band by band: 0, the usual nodata of a
picture, is an ordinary dark value of one band, and only 0 in all of them says something.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glnet.raster.protocol import Masked, Pixels, Valid, has_value
from glnet.raster.triangle import Floats

LEAST_WEIGHT = 1e-4
"""Under this share of a filter's weight, a mean would be of rounding errors."""


def which_are_measured(of: Masked, nodata: float | None) -> NDArray[np.bool_]:
    """Which values are measurements: (bands, height, width); (1, height, width) if bands agree.

    Args:
        of: What was read.
        nodata: The raster's value that says "no measurement here".
    """
    valid = np.broadcast_to(True if of.valid is None else of.valid, (1, *of.pixels.shape[1:]))
    if of.pixels.dtype.kind != "f":
        lacking = _lacking(of, nodata)
        return valid if lacking is None else valid & ~lacking
    with np.errstate(over="ignore", invalid="ignore"):
        return valid & np.isfinite(of.pixels.astype(np.float32, copy=False))


def with_gaps(of: Masked, nodata: float | None) -> Masked:
    """Integers as float32 that are NaN where only some bands are nodata; all else as it is."""
    lacking = None if of.pixels.dtype.kind == "f" else _lacking(of, nodata)
    if lacking is None:
        return of
    pixels = of.pixels.astype(np.float32)
    pixels[lacking] = np.nan
    return Masked(pixels, of.valid)


def _lacking(of: Masked, nodata: float | None) -> NDArray[np.bool_] | None:
    """Which integers of measured pixels are nodata, (bands, height, width); None if none is."""
    dtype = of.pixels.dtype
    if dtype == np.uint8 or len(of.pixels) == 1 or nodata is None or not has_value(dtype, nodata):
        return None
    lacking: NDArray[np.bool_] = of.pixels == dtype.type(nodata)
    if of.valid is not None:
        lacking &= of.valid
    return lacking if lacking.any() else None


def divided(sums: Floats, weights: Floats, dtype: np.dtype[Any]) -> Masked:
    """Means over what was measured; 0 where nothing was, NaN where only other bands were."""
    has_any = weights > LEAST_WEIGHT
    weights[~has_any] = np.inf
    sums /= weights
    valid: Valid = np.any(has_any, axis=0)
    means = rounded(sums, dtype)
    if len(has_any) > 1:  # Bands differ, which bytes never do.
        means[valid & ~has_any] = np.nan
    return Masked(means, None if valid.all() else valid)


def rounded(means: Floats, dtype: np.dtype[Any]) -> Pixels:
    """Means in the type of their result: uint8, rounded half up, of uint8, else float32."""
    if dtype != np.uint8:
        return means.astype(np.float32)
    means += 0.5
    pixels: NDArray[np.uint8] = np.clip(np.floor(means, out=means), 0, 255).astype(np.uint8)
    return pixels
