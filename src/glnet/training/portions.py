"""What a task reads: portions of a step's work, ready for the device."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from glnet.geometry import Window
from glnet.training.augmentation import Turn
from glnet.training.images import Thumbnail
from glnet.training.tasks import Look, Task


class Opening(NamedTuple):
    """What a step needs of an image before its patches.

    Attributes:
        thumbnail: The whole image; None where no branch looks at it.
        counts: Pixels of every class (K,) in all patches that the image answers for.
    """

    thumbnail: Thumbnail | None
    counts: Tensor


class Portion(NamedTuple):
    """What is run at once.

    Attributes:
        task: What it is for.
        thumbnails: Of all the task's images (N, bands, g, g), where the task is about thumbnails.
        opening: In the first portion of an image that is seen by patches.
        pixels: (P, bands, p, p), normalised; None where they are not wanted.
        labels: (P, p, p); None where they are not wanted.
        stems: Names of the images, to complain with.
    """

    task: Task
    thumbnails: Thumbnail | None = None
    opening: Opening | None = None
    pixels: Tensor | None = None
    labels: Tensor | None = None
    stems: tuple[str, ...] = ()

    def to(self, device: torch.device) -> "Portion":
        """The same on a device."""
        return self._replace(
            thumbnails=_moved(self.thumbnails, device),
            opening=self.opening
            and Opening(
                _moved(self.opening.thumbnail, device),
                self.opening.counts.to(device, non_blocking=True),
            ),
            pixels=None if self.pixels is None else self.pixels.to(device, non_blocking=True),
            labels=None if self.labels is None else self.labels.to(device, non_blocking=True),
        )


def _moved(thumbnail: Thumbnail | None, device: torch.device) -> Thumbnail | None:
    if thumbnail is None:
        return None
    return Thumbnail(*(of.to(device, non_blocking=True) for of in thumbnail))


class Readable(Protocol):
    """What portions are read from, such as a `LabelledImage`."""

    stem: str

    def within(self, box: Window) -> "Readable":
        """A box of the image as an image of its own."""
        ...

    def thumbnail(self, turn: Turn) -> Thumbnail:
        """The whole image."""
        ...

    def pixels(self, windows: Sequence[Window], turn: Turn) -> Tensor:
        """Normalised pixels (P, bands, p, p) of windows of the turned image."""
        ...

    def labels(self, windows: Sequence[Window], turn: Turn) -> Tensor:
        """Labels (P, p, p) of the same."""
        ...

    def label_counts(self, windows: Sequence[Window], turn: Turn) -> Tensor:
        """How many pixels (K,) of every class windows have."""
        ...


class Portions(Dataset[Portion]):
    """Reads the portion of a task; remembers nothing but what the images' cache does.

    Args:
        images: By the numbers that the tasks name.
        has_thumbnails: Whether an image's opening has its thumbnail.
    """

    def __init__(self, images: Sequence[Readable], *, has_thumbnails: bool) -> None:
        self._images = images
        self._has_thumbnails = has_thumbnails

    def __getitem__(self, task: Task) -> Portion:
        if not task.looks:
            return Portion(task)
        stems = tuple(self._images[look.image].stem for look in task.looks)
        if task.purpose is None:
            return Portion(task, thumbnails=self._thumbnails(task.looks), stems=stems)
        image, look = self._image(task.look), task.look
        windows = _windows(look, task.places)
        opening = self._opening(image, look) if task.opens else None
        pixels = _lit(image.pixels(windows, look.turn), look) if task.has_pixels else None
        labels = image.labels(windows, look.turn) if task.purpose == "learn" else None
        return Portion(task, None, opening, pixels, labels, stems)

    def _image(self, look: Look) -> Readable:
        image = self._images[look.image]
        return image if look.box is None else image.within(look.box)

    def _thumbnails(self, looks: Sequence[Look]) -> Thumbnail:
        each = [self._thumbnail(self._image(look), look) for look in looks]
        pixels, labels = zip(*each, strict=True)
        return Thumbnail(torch.stack(pixels), torch.stack(labels))

    def _opening(self, image: Readable, look: Look) -> Opening:
        thumbnail = self._thumbnail(image, look) if self._has_thumbnails else None
        return Opening(thumbnail, image.label_counts(_windows(look, look.learn), look.turn))

    def _thumbnail(self, image: Readable, look: Look) -> Thumbnail:
        thumbnail = image.thumbnail(look.turn)
        return thumbnail._replace(pixels=_lit(thumbnail.pixels, look))


def _windows(look: Look, places: Sequence[tuple[int, int]]) -> list[Window]:
    return [look.grid.window(*place) for place in places]


def _lit(pixels: Tensor, look: Look) -> Tensor:
    gain, offset = look.tint
    return pixels if (gain, offset) == (1.0, 0.0) else gain * pixels + offset
