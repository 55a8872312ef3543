"""Mean and deviation of the bands, and the sizes a model is trained on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glnet.data import LabelledSample
from glnet.errors import ConfigurationError, DatasetError
from glnet.geometry import Size
from glnet.model.config import Framing, Normalization, TrainingExtent
from glnet.raster import Raster, masked_thumbnail
from glnet.training.checking import check_image
from glnet.training.choices import NormalizationRule

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""Of 8-bit RGB: timm's usual 0.485, 0.456, 0.406 and 0.229, 0.224, 0.225 times 255."""

CONSTANT = 1e-6
"""A deviation below this share of the mean is rounding, not contrast."""


def look_at(
    samples: Sequence[LabelledSample], framing: Framing, rule: NormalizationRule
) -> tuple[Normalization, TrainingExtent]:
    """Open every training image once: the bands' statistics, and the range of sizes.

    Raises:
        ConfigurationError: If ImageNet's statistics are asked for images of other than 3 bands.
        DatasetError: If there are no images, their bands differ in number, or one is too small.
        RasterError: If an image cannot be read.
    """
    if not samples:
        raise DatasetError("the training split has no images")
    sizes: list[Size] = []
    statistics: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for sample in samples:
        with sample.open_image() as raster:
            check_image(raster, framing, len(statistics[0][0]) if statistics else raster.bands)
            sizes.append(raster.size)
            statistics.append(_statistics(raster, framing, rule))
    means, squares = (np.mean(of, axis=0) for of in zip(*statistics, strict=True))
    return _normalization(means, squares, rule), extent_of(sizes)


def extent_of(sizes: Sequence[Size]) -> TrainingExtent:
    """The smallest and the largest of some sizes, at least one, by their pixels."""
    return TrainingExtent(
        smallest=min(sizes, key=lambda of: of.area), largest=max(sizes, key=lambda of: of.area)
    )


def _statistics(
    raster: Raster, framing: Framing, rule: NormalizationRule
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and mean square of every band, measured on the thumbnail where they are needed."""
    if rule != "data":
        return np.zeros(raster.bands), np.zeros(raster.bands)
    found = masked_thumbnail(raster, framing.thumbnail)
    pixels = found.pixels.astype(np.float64).reshape(raster.bands, -1)
    if found.valid is not None and found.valid.any():
        pixels = pixels[:, found.valid.ravel()]
    # A band may lack measurements where others have some.
    counts = np.isfinite(pixels).sum(axis=1).clip(min=1)
    return np.nansum(pixels, axis=1) / counts, np.nansum(np.square(pixels), axis=1) / counts


def _normalization(
    means: NDArray[np.float64], squares: NDArray[np.float64], rule: NormalizationRule
) -> Normalization:
    bands = len(means)
    if rule == "published":
        return Normalization((0.0,) * bands, (255.0,) * bands)
    if rule == "imagenet":
        if bands != 3:
            raise ConfigurationError(f"normalization: imagenet needs 3 bands, got {bands}")
        return Normalization(IMAGENET_MEAN, IMAGENET_STD)
    deviations = np.sqrt(np.maximum(squares - np.square(means), 0))
    # A band without any variation says nothing; it only must not divide by zero or by rounding.
    deviations[deviations <= CONSTANT * np.abs(means)] = 1.0
    return Normalization(_rounded(means), _rounded(deviations))


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)
