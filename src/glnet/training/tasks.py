"""A step's work as tasks: what is read and run at once.

Memory grows with `micro_batch`, never with the patches of an image or the images of a step.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from glnet.geometry import PatchGrid, Window
from glnet.model.exchange import PatchIndex
from glnet.training.augmentation import Turn
from glnet.training.choices import Placement

Purpose = Literal["merge", "learn"]
"""What patches are read for: only to be merged, or to be answered for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which patches of an image are taken, and how the image is laid.

    Attributes:
        patches: How many; 0 takes as many as the grid has.
        placement: Members of the grid, or anywhere.
        flips: Whether images are mirrored at random.
        quarter_turns: Whether they are turned at random.
        photometric: Largest change of contrast and brightness (`Tint`).
        foreground: Share of patches that must show some foreground.
        micro_batch: How many patches, or thumbnails, run at once with a graph.
        merged: How many run at once only to be merged; 0 where nothing is merged.
    """

    patches: int = 0
    placement: Placement = "grid"
    flips: bool = False
    quarter_turns: bool = False
    photometric: float = 0.0
    foreground: float = 0.0
    micro_batch: int = 6
    merged: int = 0


class Tint(NamedTuple):
    """Another light: normalised pixels become ``gain * pixel + offset``, in all bands alike.

    The same for an image's thumbnail and all its patches: branches must see one picture.
    """

    gain: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How an image is seen in one epoch.

    Attributes:
        image: Its number.
        turn: How it, or its box, is laid.
        tint: In which light.
        grid: Of the turned image, or box; may list places anywhere.
        learn: Which of its patches are answered for.
        share: Its weight in the loss of its step; those of a step sum to 1.
        merge: Which of its patches will be merged, where any are; None is all of the grid.
        box: Of the image as it lies, in pixels; what is outside is not seen. None is all of it.
    """

    image: int
    turn: Turn
    tint: Tint
    grid: PatchGrid
    learn: tuple[PatchIndex, ...]
    share: float
    merge: tuple[PatchIndex, ...] | None = None
    box: Window | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A portion of a step's work.

    Attributes:
        looks: Of one image, or of those whose thumbnails run at once; none where this process
            only waits for others that have more to do.
        purpose: What the patches are for; None where the thumbnail alone is wanted.
        places: The patches.
        opens: Whether it is the first task of its image.
        closes: Whether it is the last one.
        keeps: Whether what is seen of the patches answered for is kept while merging, since all
            of them run at once; then their pixels are not read again.
    """

    looks: tuple[Look, ...] = ()
    purpose: Purpose | None = None
    places: tuple[PatchIndex, ...] = ()
    opens: bool = True
    closes: bool = True
    keeps: bool = False

    @property
    def has_pixels(self) -> bool:
        """Whether the patches' pixels are wanted."""
        return self.purpose == "merge" or not self.keeps

    @property
    def look(self) -> Look:
        """The only image's."""
        (look,) = self.looks
        return look


Schedule = Callable[[Sequence[Look], Choice], Iterator[Task]]
"""How the images of a process's step become tasks."""


def thumbnails_at_once(looks: Sequence[Look], choice: Choice) -> Iterator[Task]:
    """Thumbnails are of one size, so that several run at once."""
    for first in range(0, len(looks), choice.micro_batch):
        yield Task(looks=tuple(looks[first : first + choice.micro_batch]))


def image_by_image(looks: Sequence[Look], choice: Choice) -> Iterator[Task]:
    """Every image: its patches to be merged, if any are, then those that are answered for."""
    for look in looks:
        keeps = bool(choice.merged) and len(look.learn) <= choice.micro_batch
        purposes: list[tuple[Purpose, Sequence[PatchIndex], int]] = []
        if choice.merged:
            purposes.append(("merge", look.grid.places, choice.merged))
        purposes.append(("learn", look.learn, choice.micro_batch))
        tasks = [
            Task(
                looks=(look,),
                purpose=purpose,
                places=tuple(places[first : first + size]),
                opens=False,
                closes=False,
                keeps=keeps,
            )
            for purpose, places, size in purposes
            for first in range(0, len(places), size)
        ]
        tasks[0] = replace(tasks[0], opens=True)
        tasks[-1] = replace(tasks[-1], closes=True)
        yield from tasks
