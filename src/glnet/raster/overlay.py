"""Rasters and label maps as colours that people can look at."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glnet.errors import GeometryError
from glnet.raster.protocol import Pixels

STRETCH_PERCENTILES = (2, 98)
"""What becomes black and white of bands that are not 8-bit; the customary stretch of GIS."""

FLOAT32_MAX = float(np.finfo(np.float32).max)

BOUNDARY_BRIGHTNESS = 0.7
"""Class boundaries are drawn in the class colour, darkened to this share."""

ROWS_AT_ONCE = 64
"""Of a picture that is tinted: all of it, in floats, would take many times what it does itself."""

Picture = NDArray[np.uint8]


def draw_overlay(
    picture: Picture,
    labels: NDArray[np.uint8],
    colors: Sequence[tuple[int, int, int]],
    opacity: float = 0.45,
) -> Picture:
    """Tint a picture with the colours of its labels, and draw their boundaries solid.

    Labels without a colour, such as 255 for "ignore", leave the picture as it is.

    Args:
        picture: (height, width, 3) uint8.
        labels: (height, width) uint8.
        colors: (red, green, blue) in 0..255 of each label, from 0 on.
        opacity: 0 shows the picture alone between boundaries, 1 the colours alone.

    Returns:
        (height, width, 3) uint8.

    Raises:
        GeometryError: If picture and labels differ in size, or opacity is not in 0..1.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.shape[:2] != labels.shape:
        raise GeometryError(
            "an overlay needs a picture (height, width, 3) and labels (height, width), "
            f"got {picture.shape} and {labels.shape}"
        )
    if not 0 <= opacity <= 1:
        raise GeometryError(f"opacity must be in 0..1, got {opacity}")
    table = np.zeros((256, 3), dtype=np.float32)
    table[: len(colors)] = np.reshape(colors, (-1, 3))
    is_boundary = _boundaries(labels)
    tinted = np.empty_like(picture)
    for first in range(0, len(picture), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        is_colored = (labels[rows] < len(colors))[..., np.newaxis]
        is_edge = is_boundary[rows, :, np.newaxis]
        shares = np.where(is_edge, 1, np.float32(opacity)) * is_colored
        tints = table[labels[rows]] * np.where(is_edge, np.float32(BOUNDARY_BRIGHTNESS), 1)
        tinted[rows] = np.rint(picture[rows] * (1 - shares) + tints * shares).astype(np.uint8)
    return tinted


def to_display(pixels: Pixels) -> Picture:
    """Bands of any number and type as a colour picture.

    One or two bands show the first as grey, more show the first three as red, green and blue.
    8-bit bands are shown as they are; others are stretched, each from its 2nd to its 98th
    percentile; values that are not finite are black.

    Args:
        pixels: (bands, height, width).

    Returns:
        (height, width, 3) uint8.

    Raises:
        GeometryError: If the pixels have other axes or none.
    """
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise GeometryError(f"expected pixels (bands, height, width), got shape {pixels.shape}")
    bands = pixels[:3] if len(pixels) > 2 else pixels[[0, 0, 0]]
    if bands.dtype != np.uint8:
        bands = np.stack([_stretch(band) for band in bands])
    return np.ascontiguousarray(np.moveaxis(bands, 0, 2))


def _boundaries(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the pixel below or to the right has another label."""
    is_boundary = np.zeros(labels.shape, dtype=np.bool_)
    is_boundary[:-1] |= labels[:-1] != labels[1:]
    is_boundary[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return is_boundary


def _stretch(band: NDArray[Any]) -> Picture:
    is_finite = np.isfinite(band)
    # Within float32, so that float64 can hold all differences.
    values = np.clip(band.astype(np.float64), -FLOAT32_MAX, FLOAT32_MAX)
    if not is_finite.any():
        return np.zeros(band.shape, dtype=np.uint8)
    low, high = np.percentile(values[is_finite], STRETCH_PERCENTILES)
    # A constant band has no contrast to stretch; it is shown black.
    scaled = (np.where(is_finite, values, low) - low) / max(high - low, np.finfo(np.float64).tiny)
    stretched: Picture = np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return stretched
