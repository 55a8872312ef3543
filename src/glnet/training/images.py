"""Labelled images, read by windows, laid as an epoch wants them.

Windows are read from the files; thumbnails and decoded images are held as far as the cache allows.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from copy import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.data import (
    IGNORE_INDEX,
    DatasetDescription,
    IndexEncoding,
    LabelledSample,
    LabelRaster,
)
from glnet.geometry import Size, Window
from glnet.inference.pixels import normalized, read_patch
from glnet.inference.sampling import sampled
from glnet.model.config import Framing, Normalization
from glnet.raster import (
    ArrayRaster,
    Masked,
    Raster,
    RasterPart,
    Valid,
    masked_thumbnail,
)
from glnet.training.augmentation import Turn, read_turned


class Thumbnail(NamedTuple):
    """A whole image as the global branch sees it, and its labels."""

    pixels: Tensor  # (bands, g, g), normalised
    labels: Tensor  # (g, g)


class LabelledImage:
    """An image and its mask, or a box of them, read by windows in the network's pixels.

    Args:
        sample: The files.
        description: How the mask is read.
        framing: Sizes.
        normalization: Of the pixels.
        cache: Where decoded images are kept.
    """

    def __init__(
        self,
        sample: LabelledSample,
        description: DatasetDescription,
        framing: Framing,
        normalization: Normalization,
        cache: "PixelCache",
    ) -> None:
        self.stem = sample.stem
        self.framing = framing
        self._sample = sample
        self._description = description
        self._normalization = normalization
        self._cache = cache
        self._box: Window | None = None

    def within(self, box: Window) -> "LabelledImage":
        """A box of the image as an image of its own; its thumbnail is not remembered."""
        part = copy(self)
        part._box = self._in_file(box)
        return part

    @property
    def size(self) -> Size:
        """Height and width in raster pixels."""
        return self._small().size

    @property
    def measured(self) -> Valid | None:
        """Which cells of the thumbnail are measurements, (g, g); None where all are."""
        return self._small().valid

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return self._description.num_classes

    def thumbnail(self, turn: Turn = Turn()) -> Thumbnail:  # noqa: B008 - frozen
        """The whole image; remembered as far as the cache allows."""
        small = self._small()
        entering = turn.apply(self._to_network(Masked(small.pixels, small.valid)))
        return Thumbnail(_to_tensor(entering), _to_tensor(turn.apply(small.labels)))

    def foreground(self, box: Window | None = None) -> list[tuple[float, float]]:
        """Points of other classes than the first, as shares of the height and the width.

        Those of the thumbnail, `MARKS` at most, evenly chosen.

        Args:
            box: Of the image; where it is given, its points alone, as shares of its sides. They are
                still those of the image's thumbnail, which need not be read again.
        """
        small = self._small()
        sides = np.array(small.labels.shape)
        points = np.argwhere(is_foreground(small.labels)) + 0.5
        start, extent = np.zeros(2), sides
        if box is not None:
            cells = sides / (small.size.height, small.size.width)  # in a pixel
            start = cells * (box.row, box.column)
            extent = cells * (box.size.height, box.size.width)
            points = points[((points > start) & (points < start + extent)).all(axis=1)]
        points = points[:: -(-len(points) // MARKS) or 1]
        return [tuple(of) for of in ((points - start) / extent).tolist()]

    def pixels(self, windows: Sequence[Window], turn: Turn) -> Tensor:
        """Normalised pixels (P, bands, p, p) of windows of the turned image."""
        raster, _ = self._open()

        def read(window: Window) -> NDArray[np.float32]:
            return self._to_network(read_patch(raster, window, self.framing))

        return torch.from_numpy(
            np.stack([read_turned(read, turn, of, raster.size) for of in windows])
        )

    def labels(self, windows: Sequence[Window], turn: Turn) -> Tensor:
        """Labels (P, p, p) of windows of the turned image."""
        return _to_tensor(np.stack([self._labels(of, turn) for of in windows]))

    def label_counts(self, windows: Sequence[Window], turn: Turn) -> Tensor:
        """How many pixels (K,) of every class windows have, read one after another."""
        counts = np.zeros(IGNORE_INDEX + 1, np.int64)
        for window in windows:
            counts += np.bincount(self._labels(window, turn).ravel(), minlength=len(counts))
        return torch.from_numpy(counts[: self.num_classes])

    def _labels(self, window: Window, turn: Turn) -> NDArray[np.uint8]:
        raster, labels = self._open()
        factor = self.framing.reduction

        def read(window: Window) -> NDArray[np.uint8]:
            return labels.read_nearest(self._in_file(window), factor)

        return read_turned(read, turn, window, raster.size)

    def _open(self) -> tuple[Raster, LabelRaster]:
        """The image, or its box; and the labels, which know nothing of the box."""
        raster, labels = self._cache.open(self._sample, self._description)
        return raster if self._box is None else RasterPart(raster, self._box), labels

    def _in_file(self, window: Window) -> Window:
        """Where a window lies in the files."""
        return window if self._box is None else window.moved(self._box.row, self._box.column)

    def _small(self) -> "_Small":
        # Boxes are drawn anew at every look: to keep them would only take the images' room.
        if self._box is not None:
            return self._read_small()
        return self._cache.small(self.stem, self._read_small)

    def _read_small(self) -> "_Small":
        raster, labels = self._open()
        size = self.framing.thumbnail
        classes = sampled(lambda of: labels.read(self._in_file(of)), raster.size, size)
        return _Small(raster.size, *masked_thumbnail(raster, size), classes)

    def _to_network(self, read: Masked) -> NDArray[np.float32]:
        entering: NDArray[np.float32] = normalized(
            read.pixels, self._normalization, read.valid
        ).numpy()
        return entering


MARKS = 1024
"""So many points of foreground are enough to choose patches by."""


def is_foreground(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where labels are of another class than the first; what is ignored is no foreground."""
    found: NDArray[np.bool_] = (labels > 0) & (labels != IGNORE_INDEX)
    return found


class _Small(NamedTuple):
    """An image's size, thumbnail and its labels, as the files have them."""

    size: Size
    pixels: NDArray[Any]
    valid: Valid | None
    labels: NDArray[np.uint8]

    @property
    def bytes(self) -> int:
        """In memory."""
        kept = (self.pixels, self.valid, self.labels)
        return sum(of.nbytes for of in kept if of is not None)


class PixelCache:
    """Decoded images and masks, the latest ones up to a number of bytes; thumbnails as many again.

    What does not fit is read from its file by windows, again and again; one such file is open at a
    time, since some formats keep their decoded pixels while they are.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._small: OrderedDict[str, _Small] = OrderedDict()

    def open(
        self, sample: LabelledSample, description: DatasetDescription
    ) -> tuple[Raster, LabelRaster]:
        """The image and its labels, from memory if they are there."""
        if sample.stem not in self._held:
            self._held[sample.stem] = self._read(sample, description)
            self._make_room(sample.stem)
        self._held.move_to_end(sample.stem)
        held = self._held[sample.stem]
        return held.raster, held.labels

    def small(self, stem: str, read: Callable[[], _Small]) -> _Small:
        """An image's thumbnail, from memory if it is there."""
        if stem not in self._small:
            self._small[stem] = read()
        self._small.move_to_end(stem)
        sizes = [small.bytes for small in self._small.values()]
        while len(sizes) > 1 and sum(sizes) > self._limit:
            self._small.popitem(last=False)
            sizes.pop(0)
        return self._small[stem]

    def __reduce__(self) -> tuple[type["PixelCache"], tuple[int]]:
        """Go to another process empty: pixels are too much to send, open files cannot be sent."""
        return PixelCache, (self._limit,)

    def _make_room(self, newest: str) -> None:
        """Let go of open files, and of the oldest images while there are too many bytes."""
        for stem, held in list(self._held.items()):
            is_over = sum(of.bytes for of in self._held.values()) > self._limit
            if stem != newest and (is_over or not held.bytes):
                self._held.pop(stem).files.close()

    def _read(self, sample: LabelledSample, description: DatasetDescription) -> "_Held":
        with ExitStack() as files:
            raster = files.enter_context(sample.open_image())
            labels = files.enter_context(sample.open_labels(description))
            size = raster.size.area * (raster.bands * raster.dtype.itemsize + 1)
            if size > self._limit:
                return _Held(raster, labels, 0, files.pop_all())
            whole = Window(0, 0, raster.size)
            read = raster.read_masked(whole)
            pixels = ArrayRaster(
                np.moveaxis(read.pixels, 0, 2),
                raster.name,
                nodata=raster.nodata,
                valid=read.valid,
            )
            classes = ArrayRaster(labels.read(whole), labels.name)
        indices = DatasetDescription(description.classes, IndexEncoding(ignore=IGNORE_INDEX))
        return _Held(pixels, LabelRaster(classes, indices), size, ExitStack())


class _Held(NamedTuple):
    """An image and its mask; 0 bytes where they are read from open files."""

    raster: Raster
    labels: LabelRaster
    bytes: int
    files: ExitStack


def _to_tensor(maps: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(maps))
