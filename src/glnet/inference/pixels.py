"""From a raster's pixels to what enters the network."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.errors import InputMismatchError
from glnet.geometry import Window
from glnet.model.checkpoint import Model
from glnet.model.config import Framing, Normalization
from glnet.raster import (
    ExtendedRaster,
    Masked,
    Raster,
    Valid,
    masked_reduced,
    masked_thumbnail,
    with_gaps,
)

LEAST_SIDE = 32
"""Backbones shrink 32 times; a smaller raster is continued by its edge pixels up to this side."""


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
            f"{raster.name} is read with {raster.bands} band{'' if raster.bands == 1 else 's'}, "
            f"the model takes {bands}; name as many, in its order. A band that the file marks as "
            "transparency (alpha) does not count unless it is named"
        )


def normalized(
    pixels: NDArray[Any], normalization: Normalization, valid: Valid | None = None
) -> Tensor:
    """Turn (..., bands, height, width) of any dtype into what the network was trained on.

    What is no measurement, by ``valid`` (..., height, width) or for not being a finite number,
    becomes the bands' mean: one NaN would reach every label through the thumbnail.
    """
    mean = np.asarray(normalization.mean, dtype=np.float32)[:, None, None]
    std = np.asarray(normalization.std, dtype=np.float32)[:, None, None]
    values = (pixels.astype(np.float32, copy=False) - mean) / std
    if pixels.dtype.kind == "f":
        np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    if valid is not None:
        values *= valid[..., None, :, :]
    return torch.from_numpy(values)


def read_thumbnail(raster: Raster, framing: Framing) -> Masked:
    """The whole raster as the global branch sees it: (bands, thumbnail, thumbnail)."""
    return masked_thumbnail(raster, framing.thumbnail)


def read_patch(raster: Raster, window: Window, framing: Framing) -> Masked:
    """A patch as the local branch sees it: (bands, height, width) over the reduction."""
    return with_gaps(masked_reduced(raster, window, framing.reduction), raster.nodata)
