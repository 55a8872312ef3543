"""From a raster's pixels to what enters the network."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.errors import InputMismatchError
from glnet.geometry import Size, Window
from glnet.model.checkpoint import Model
from glnet.model.config import Framing, Normalization
from glnet.raster import Georeference, Raster, read_reduced, thumbnail

LEAST_SIDE = 32
"""Backbones shrink 32 times; a smaller raster is continued by its edge pixels up to this side."""


class ExtendedRaster:
    """A raster whose last row and column are repeated until no side is under the least one.

    Args:
        raster: What is to be extended; not closed here.
        least: Pixels that every side shall have.
    """

    def __init__(self, raster: Raster, least: int) -> None:
        self._raster = raster
        self.size = Size(max(raster.size.height, least), max(raster.size.width, least))

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self._raster.name

    @property
    def bands(self) -> int:
        """The number of bands."""
        return self._raster.bands

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a pixel."""
        return self._raster.dtype

    @property
    def georeference(self) -> Georeference:
        """Where it lies."""
        return self._raster.georeference

    @property
    def nodata(self) -> float | None:
        """The value of pixels that mean nothing."""
        return self._raster.nodata

    def read(self, window: Window) -> NDArray[Any]:
        """Read (bands, height, width)."""
        real = self._raster.size
        row, column = min(window.row, real.height - 1), min(window.column, real.width - 1)
        height = min(window.row_stop, real.height) - row
        width = min(window.column_stop, real.width) - column
        pixels = self._raster.read(Window(row, column, Size(height, width)))
        rows = np.arange(window.row, window.row_stop).clip(max=real.height - 1) - row
        columns = np.arange(window.column, window.column_stop).clip(max=real.width - 1) - column
        extended: NDArray[Any] = pixels[:, rows[:, None], columns]
        return extended


def framed(raster: Raster, model: Model) -> Raster:
    """Check that the model can take a raster, and extend it where it is too small for a backbone.

    Raises:
        InputMismatchError: If it has another number of bands than the model takes.
    """
    require_bands(raster, model.bands)
    least = LEAST_SIDE * model.config.framing.reduction
    if min(raster.size.height, raster.size.width) >= least:
        return raster
    return ExtendedRaster(raster, least)


def require_bands(raster: Raster, bands: int) -> None:
    """Refuse a raster of another number of bands than a model takes.

    Raises:
        InputMismatchError: If it is one.
    """
    if raster.bands != bands:
        raise InputMismatchError(
            f"{raster.name} has {raster.bands} bands, the model takes {bands}; a band that "
            "the file marks as transparency (alpha) does not count"
        )


def normalized(pixels: NDArray[Any], normalization: Normalization) -> Tensor:
    """Turn (..., bands, height, width) of any dtype into what the network was trained on.

    What is no finite number becomes the bands' mean: one NaN would reach every label through the
    thumbnail.
    """
    mean = np.asarray(normalization.mean, dtype=np.float32)[:, None, None]
    std = np.asarray(normalization.std, dtype=np.float32)[:, None, None]
    values = (pixels.astype(np.float32) - mean) / std
    if pixels.dtype.kind == "f":
        np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return torch.from_numpy(values)


def read_thumbnail(raster: Raster, framing: Framing) -> NDArray[Any]:
    """The whole raster as the global branch sees it: (bands, thumbnail, thumbnail)."""
    return thumbnail(raster, framing.thumbnail)


def read_patch(raster: Raster, window: Window, framing: Framing) -> NDArray[Any]:
    """A patch as the local branch sees it: (bands, height, width) over the reduction."""
    return read_reduced(raster, window, framing.reduction)
