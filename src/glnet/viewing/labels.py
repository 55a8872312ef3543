"""Label maps of any kind as one band of bytes, and what their values are called."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glnet.data.classes import ClassInfo
from glnet.data.colors import Color, default_color
from glnet.errors import ConfigurationError
from glnet.geometry import Window
from glnet.raster import Masked, Raster, RasterFile, class_names
from glnet.raster.protocol import Pixels
from glnet.raster.views import LayeredView
from glnet.viewing.encoding import NOTHING
from glnet.viewing.pyramid import Pyramid
from glnet.viewing.stretching import sample_windows

Bytes = NDArray[np.uint8]
Decode = Callable[[Pixels], Bytes]
"""From pixels (bands, height, width) to labels (height, width)."""


class LabelView(LayeredView):
    """A raster whose pixels read as labels: one band of bytes, `NOTHING` where there is none.

    Args:
        raster: The label map, as its file has it.
        decode: What its pixels mean.
    """

    def __init__(self, raster: Raster, decode: Decode) -> None:
        super().__init__(raster)
        self._decode = decode

    @property
    def bands(self) -> int:
        """One."""
        return 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Bytes."""
        return np.dtype(np.uint8)

    @property
    def nodata(self) -> float | None:
        """What stands for no label."""
        return NOTHING

    def read_masked(self, window: Window) -> Masked:
        """The labels of a window, (1, height, width).

        Raises:
            GeometryError: If the window is not inside the raster.
            RasterError: If the pixels cannot be read.
        """
        found = self.raster.read_masked(window)
        labels = self._decode(found.pixels)
        if found.valid is not None:
            labels[~found.valid] = NOTHING
        return Masked(labels[np.newaxis], None)

    def alike(self, smaller: Raster) -> Raster:
        """An overview's labels."""
        return LabelView(smaller, self._decode)


def by_index(pixels: Pixels) -> Bytes:
    """The values themselves; those that no byte can hold are no labels."""
    values = pixels[0]
    labels: Bytes
    if values.dtype == np.uint8:
        labels = values.copy()
        return labels
    with np.errstate(invalid="ignore"):
        is_label = (values >= 0) & (values < NOTHING)
        labels = np.where(is_label, values, NOTHING).astype(np.uint8)
    return labels


def above(threshold: float) -> Decode:
    """1 for what is above a threshold, 0 for the rest."""

    def decode(pixels: Pixels) -> Bytes:
        labels: Bytes = (pixels[0] > threshold).astype(np.uint8)
        return labels

    return decode


def by_color(colors: Sequence[Color]) -> Decode:
    """The class whose colour a pixel has; none where it has no class's."""
    keys = _packed(np.array(colors, np.uint8).T)
    order = np.argsort(keys)

    def decode(pixels: Pixels) -> Bytes:
        values = _packed(pixels[:3])
        at = np.minimum(np.searchsorted(keys[order], values), len(keys) - 1)
        labels: Bytes = np.where(keys[order][at] == values, order[at], NOTHING).astype(np.uint8)
        return labels

    return decode


def decoding_of(
    raster: Raster, classes: Sequence[ClassInfo], threshold: float | None = None
) -> Decode:
    """How a mask is meant: a threshold if one is named, colours of classes, or values.

    Raises:
        ConfigurationError: If it is a picture in colours and no classes are known.
    """
    if threshold is not None:
        return above(threshold)
    if raster.bands < 3:
        return by_index
    if not classes:
        raise ConfigurationError(
            f"{raster.name} has {raster.bands} bands, and no classes are known whose colours it "
            "could show; name a label map that has names or colours with --labels, or a mask of "
            "one band"
        )
    return by_color([info.color for info in classes])


def classes_of(raster: RasterFile, pyramid: Pyramid | None) -> tuple[ClassInfo, ...]:
    """The classes of a label map, from its names, its colours, or the values in a sample of it.

    Args:
        raster: The file, of which the header alone is read.
        pyramid: Its labels, for the sample; without them, no classes are found there.

    Raises:
        RasterError: If it cannot be read.
    """
    palette = raster.palette or {}
    names = class_names(raster.name)
    colored = [value for value, color in palette.items() if any(color) and value < NOTHING]
    if names:
        count = min(len(names), NOTHING)
    elif colored:
        count = max(colored) + 1
    else:
        count = 0 if pyramid is None else _values_in_sample(pyramid)
    return tuple(
        ClassInfo(
            names[value] if value < len(names) and names[value].strip() else f"class {value}",
            palette.get(value, default_color(value)),
        )
        for value in range(count)
    )


def _values_in_sample(pyramid: Pyramid) -> int:
    found = [pyramid.read(window).pixels for window in sample_windows(pyramid.size)]
    values = np.concatenate([labels.ravel() for labels in found])
    return int(values[values != NOTHING].max(initial=0)) + 1


def _packed(colors: NDArray[Any]) -> NDArray[np.int32]:
    red, green, blue = colors.astype(np.int32)
    packed: NDArray[np.int32] = (red << 16) + (green << 8) + blue
    return packed
