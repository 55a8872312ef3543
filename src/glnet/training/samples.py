"""What a training step is fed: thumbnails and patches of labelled images, turned at random.

Windows are read from the files; only the thumbnail is held for every image, and decoded images as
far as the cache allows.
"""

import random
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from glnet.data import (
    IGNORE_INDEX,
    DatasetDescription,
    IndexEncoding,
    LabelRaster,
    Sample,
)
from glnet.geometry import PatchGrid, Size, Window
from glnet.inference.pixels import normalized
from glnet.inference.sampling import sampled
from glnet.model.config import Framing, Normalization
from glnet.raster import ArrayRaster, Raster, read_reduced, thumbnail
from glnet.training.augmentation import Turn, random_turn, read_turned
from glnet.training.config import Placement


class Thumbnail(NamedTuple):
    """A whole image as the global branch sees it, and its labels."""

    pixels: Tensor  # (bands, g, g), normalised
    labels: Tensor  # (g, g)


class Patches(NamedTuple):
    """Some patches of one image as the local branch sees them, and their labels.

    ``grid`` says where they lie: patch k at row start ``places[k][0]``, column ``places[k][1]``.
    """

    pixels: Tensor  # (P, bands, p, p), normalised
    labels: Tensor  # (P, p, p)
    grid: PatchGrid
    places: list[tuple[int, int]]


class Look(NamedTuple):
    """One image of a step: its thumbnail, the patches that train, and a way to the others."""

    thumbnail: Thumbnail
    patches: Patches
    image: "LabelledImage"
    turn: Turn

    def to(self, device: torch.device) -> "Look":
        """The same with its tensors on a device."""
        thumbnail = Thumbnail(*(of.to(device) for of in self.thumbnail))
        patches = self.patches._replace(
            pixels=self.patches.pixels.to(device), labels=self.patches.labels.to(device)
        )
        return self._replace(thumbnail=thumbnail, patches=patches)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which patches of an image are taken, and how the image is laid."""

    patches: int = 0
    placement: Placement = "grid"
    flips: bool = False
    quarter_turns: bool = False
    repeatable: bool = False
    """Whether an image is laid and cut the same way every time."""


class LabelledImage:
    """An image and its mask, read by windows in the network's pixels.

    Args:
        sample: The files.
        description: How the mask is read.
        framing: Sizes.
        normalization: Of the pixels.
        cache: Where decoded images are kept.
    """

    def __init__(
        self,
        sample: Sample,
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
        self._thumbnail: tuple[NDArray[Any], NDArray[np.uint8]] | None = None

    @property
    def size(self) -> Size:
        """The raster's size."""
        return self._cache.open(self._sample, self._description)[0].size

    def thumbnail(self, turn: Turn = Turn()) -> Thumbnail:  # noqa: B008 - frozen
        """The whole image; read once, then remembered."""
        if self._thumbnail is None:
            raster, labels = self._cache.open(self._sample, self._description)
            self._thumbnail = (
                thumbnail(raster, self.framing.thumbnail),
                sampled(labels.read, labels.size, self.framing.thumbnail),
            )
        pixels, classes = self._thumbnail
        return Thumbnail(self._to_network(turn.apply(pixels)), _to_tensor(turn.apply(classes)))

    def grid(self, turn: Turn) -> PatchGrid:
        """The full grid of the turned image."""
        return self.framing.grid(turn.size(self.size))

    def pixels(self, windows: list[Window], turn: Turn) -> Tensor:
        """Normalised pixels (P, bands, p, p) of windows of the turned image."""
        raster, _ = self._cache.open(self._sample, self._description)
        factor = self.framing.reduction
        return self._to_network(
            np.stack(
                [
                    read_turned(lambda at: read_reduced(raster, at, factor), turn, of, raster.size)
                    for of in windows
                ]
            )
        )

    def labels(self, windows: list[Window], turn: Turn) -> Tensor:
        """Labels (P, p, p) of windows of the turned image."""
        raster, labels = self._cache.open(self._sample, self._description)
        factor = self.framing.reduction
        arrays = [
            read_turned(lambda at: labels.read_nearest(at, factor), turn, of, raster.size)
            for of in windows
        ]
        return _to_tensor(np.stack(arrays))

    def _to_network(self, pixels: NDArray[Any]) -> Tensor:
        return normalized(pixels, self._normalization)


class PixelCache:
    """Decoded images and masks, the latest ones up to a number of bytes.

    What does not fit is read from its file by windows, again and again; one such file is open at a
    time, since some formats keep their decoded pixels while they are.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def open(self, sample: Sample, description: DatasetDescription) -> tuple[Raster, LabelRaster]:
        """The image and its labels, from memory if they are there."""
        if sample.stem not in self._held:
            self._held[sample.stem] = self._read(sample, description)
            self._make_room(sample.stem)
        self._held.move_to_end(sample.stem)
        held = self._held[sample.stem]
        return held.raster, held.labels

    def __reduce__(self) -> tuple[type["PixelCache"], tuple[int]]:
        """Go to another process empty: pixels are too much to send, open files cannot be sent."""
        return PixelCache, (self._limit,)

    def _make_room(self, newest: str) -> None:
        """Let go of open files, and of the oldest images while there are too many bytes."""
        for stem, held in list(self._held.items()):
            is_over = sum(of.bytes for of in self._held.values()) > self._limit
            if stem != newest and (is_over or not held.bytes):
                self._held.pop(stem).files.close()

    def _read(self, sample: Sample, description: DatasetDescription) -> "_Held":
        with ExitStack() as files:
            raster = files.enter_context(sample.open_image())
            labels = files.enter_context(sample.open_labels(description))
            size = raster.size.area * (raster.bands * raster.dtype.itemsize + 1)
            if size > self._limit:
                return _Held(raster, labels, 0, files.pop_all())
            whole = Window(0, 0, raster.size)
            pixels = ArrayRaster(np.moveaxis(raster.read(whole), 0, 2), raster.name)
            classes = ArrayRaster(labels.read(whole), labels.name)
        indices = DatasetDescription(description.classes, IndexEncoding(ignore=IGNORE_INDEX))
        return _Held(pixels, LabelRaster(classes, indices), size, ExitStack())


class _Held(NamedTuple):
    """An image and its mask; 0 bytes where they are read from open files."""

    raster: Raster
    labels: LabelRaster
    bytes: int
    files: ExitStack


class ThumbnailSamples(Dataset[Thumbnail]):
    """One thumbnail per image."""

    def __init__(self, images: list[LabelledImage], choice: Choice, seed: int) -> None:
        self._images = images
        self._choice = choice
        self._rng = random.Random(seed)

    def __len__(self) -> int:
        return len(self._images)

    def reseed(self, seed: int) -> None:
        """Lay the images by another seed from here on."""
        self._rng.seed(seed)

    def __getitem__(self, index: int) -> Thumbnail:
        return self._images[index].thumbnail(_turn(self._rng, self._choice))


class PatchSamples(Dataset[Look]):
    """One look per image: its thumbnail and some of its patches."""

    def __init__(self, images: list[LabelledImage], choice: Choice, seed: int) -> None:
        self._images = images
        self._choice = choice
        self._seed = seed
        self._rng = random.Random(seed)

    def __len__(self) -> int:
        return len(self._images)

    def reseed(self, seed: int) -> None:
        """Lay the images by another seed from here on."""
        self._rng.seed(seed)

    def __getitem__(self, index: int) -> Look:
        image = self._images[index]
        rng = random.Random(self._seed + index) if self._choice.repeatable else self._rng
        turn = _turn(rng, self._choice)
        grid, places = _choose(image.grid(turn), self._choice, rng)
        windows = [
            Window(grid.rows[row], grid.columns[column], grid.patch) for row, column in places
        ]
        patches = Patches(image.pixels(windows, turn), image.labels(windows, turn), grid, places)
        return Look(image.thumbnail(turn), patches, image, turn)


def _to_tensor(labels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(labels))


def _turn(rng: random.Random, choice: Choice) -> Turn:
    return random_turn(rng, flips=choice.flips, quarter_turns=choice.quarter_turns)


def _choose(
    grid: PatchGrid, choice: Choice, rng: random.Random
) -> tuple[PatchGrid, list[tuple[int, int]]]:
    """Pick patches of the grid, or make a list of places anywhere."""
    number = choice.patches or len(grid)
    if choice.placement == "grid":
        return grid, sorted(rng.sample(grid.places, min(number, len(grid))))
    down, across = grid.raster.height - grid.patch.height, grid.raster.width - grid.patch.width
    rows = tuple(rng.randint(0, down) for _ in range(number))
    columns = tuple(rng.randint(0, across) for _ in range(number))
    return PatchGrid(grid.raster, grid.patch, rows, columns), [(k, k) for k in range(number)]
