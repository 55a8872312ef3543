"""Whether a raster's numbers can be those that a model was trained on."""

import numpy as np
from numpy.typing import NDArray

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.model.config import Normalization
from glnet.raster import Raster

PLACES, SIDE = 3, 64
"""So many windows along each side of the raster are looked at, of so many pixels a side."""

FAR = 5.0
"""Deviations of the training: far below what 16 bits in place of 8 are off, 257 times as large."""


def unlike_training(raster: Raster, normalization: Normalization) -> str | None:
    """A line if the numbers of a raster lie far from those of the training; None if not.

    A model that was trained on 8 bits a band answers a scene of 16 bits with nonsense, and nothing
    else would tell. In nine small windows the mean of what is measured is taken, band by band, and
    the median of these is compared. What cannot be read is left out.
    """
    means = [of for window in _windows(raster.size) if (of := _means(raster, window)) is not None]
    if not means:
        return None
    typical = np.median(means, axis=0)
    far = np.abs(typical - normalization.mean) / normalization.std
    band = int(far.argmax())
    if far[band] <= FAR:
        return None
    return (
        f"numbers of band {band + 1} are around {typical[band]:.4g}, those of the training were "
        f"{normalization.mean[band]:.4g} +- {normalization.std[band]:.4g}: is this model for such "
        "images?"
    )


def _windows(size: Size) -> list[Window]:
    """Spread evenly, and within."""
    height, width = min(SIDE, size.height), min(SIDE, size.width)
    rows = np.linspace(0, size.height - height, PLACES + 2)[1:-1].astype(int)
    columns = np.linspace(0, size.width - width, PLACES + 2)[1:-1].astype(int)
    return [Window(int(r), int(c), Size(height, width)) for r in rows for c in columns]


def _means(raster: Raster, window: Window) -> NDArray[np.float64] | None:
    """Of what is measured, band by band; None where nothing is."""
    try:
        found = raster.read_masked(window)
    except RasterError:
        return None
    values = found.pixels.astype(np.float64)
    is_measured = np.isfinite(values).all(0)
    if found.valid is not None:
        is_measured &= found.valid
    if not is_measured.any():
        return None
    means: NDArray[np.float64] = values[:, is_measured].mean(1)
    return means
