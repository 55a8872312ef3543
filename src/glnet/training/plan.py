"""What every optimiser step sees, known before anything is read.

A plan follows from the seed, the stage, the epoch and the number of the image alone: not from how
many processes read or compute, nor from what was read before. So a run that goes on after a crash,
or on other machines, sees what it would have seen.

A step's work is a list of tasks. A task is what is read and run at once, so that memory grows with
`micro_batch`, never with the patches of an image or the images of a step.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest
from typing import Literal, NamedTuple

from glnet.geometry import PatchGrid, Size, Window
from glnet.model.config import Framing
from glnet.model.exchange import PatchIndex
from glnet.training.augmentation import Turn, random_turn
from glnet.training.config import Placement

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


class Part(NamedTuple):
    """Which process this is, of how many that share every step's images."""

    rank: int = 0
    world: int = 1


Schedule = Callable[[Sequence[Look], Choice], Iterator[Task]]
"""How the images of a process's step become tasks."""

Foreground = Callable[[int, Window | None], Sequence[tuple[float, float]]]
"""Where an image, or a box of it, has foreground: (row, column) as shares of height and width."""

DrawBox = Callable[[int, random.Random], Window | None]
"""Which box of an image a look takes, by the luck of that look; None takes the whole image."""


class Plan:
    """The tasks of every step of every epoch of a stage.

    Args:
        sizes: Of the images, in raster pixels.
        framing: Patch sizes and grid.
        choice: Of patches, turns, light.
        images: Images per optimiser step, over all processes.
        schedule: How images become tasks.
        seed: Of the order, turns, places. None lays every image the same way in every epoch, in
            the images' own order, as validation does.
        foreground: Asked where `Choice.foreground` is over 0.
        box: Asked at every look, at most one box of which is an image to all that follows.

    Attributes:
        part: Which of the images of a step are this process's; all, until it is told otherwise.
    """

    def __init__(  # noqa: PLR0913 - all that a plan depends on, and nothing else
        self,
        sizes: Sequence[Size],
        framing: Framing,
        choice: Choice,
        images: int,
        schedule: Schedule,
        seed: str | None,
        *,
        foreground: Foreground = lambda *_: (),
        box: DrawBox = lambda *_: None,
    ) -> None:
        self._sizes = sizes
        self._framing = framing
        self._choice = choice
        self._images = images
        self._schedule = schedule
        self._seed = seed
        self.part = Part()
        self._foreground = foreground
        self._box = box

    @property
    def steps(self) -> int:
        """How many steps an epoch has."""
        return -(-len(self._sizes) // self._images)

    def images(self, step: int) -> int:
        """How many images a step has, over all processes."""
        return min(self._images, len(self._sizes) - step * self._images)

    def tasks(self, epoch: int, step: int) -> list[Task]:
        """This process's tasks of a step: as many as every other process has."""
        numbers = self._order(epoch)[step * self._images :][: self._images]
        looks = [replace(self._look(epoch, number), share=1 / len(numbers)) for number in numbers]
        rank, world = self.part
        shares = _dealt(looks, self._at_once(looks), world) if world > 1 else [looks]
        lists = [list(self._schedule(share, self._choice)) for share in shares]
        filled = zip_longest(*lists, fillvalue=Task())
        return [tasks[rank] for tasks in filled]

    def _at_once(self, looks: Sequence[Look]) -> list[Sequence[Look]]:
        """Which of them one process would run at once."""
        groups = [task.looks for task in self._schedule(looks, self._choice)]
        return [of for before, of in pairwise([(), *groups]) if of != before]

    def _order(self, epoch: int) -> list[int]:
        numbers = list(range(len(self._sizes)))
        if self._seed is not None:
            random.Random(f"{self._seed} epoch {epoch}").shuffle(numbers)
        return numbers

    def _look(self, epoch: int, number: int) -> Look:
        seed = f"image {number}"
        if self._seed is not None:
            seed = f"{self._seed} epoch {epoch} {seed}"
        rng, choice = random.Random(seed), self._choice
        box = self._box(number, rng)
        turn = random_turn(rng, flips=choice.flips, quarter_turns=choice.quarter_turns)
        tint = _tint(rng, choice.photometric)
        size = self._sizes[number] if box is None else box.size
        grid = self._framing.grid(turn.size(size))
        marks: list[tuple[float, float]] = []
        if choice.foreground > 0:
            marks = [_turned(of, turn) for of in self._foreground(number, box)]
        grid, learn = choose(grid, choice, rng, marks)
        return Look(
            image=number,
            turn=turn,
            tint=tint,
            grid=grid,
            learn=tuple(learn),
            share=1.0,
            box=box,
        )


def _dealt(
    looks: Sequence[Look], groups: Sequence[Sequence[Look]], world: int
) -> list[Sequence[Look]]:
    """What each process looks at.

    What one process would run at once stays together, as batch normalisation may divide by its
    statistics; unless there are so few groups that a process would have nothing to do.
    """
    if len(groups) < world:
        groups = [(look,) for look in looks]
    return [[look for group in groups[of::world] for look in group] for of in range(world)]


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


def choose(
    grid: PatchGrid, choice: Choice, rng: random.Random, marks: Sequence[tuple[float, float]] = ()
) -> tuple[PatchGrid, list[PatchIndex]]:
    """Pick patches of the grid, or make a list of places anywhere.

    Args:
        grid: Of the turned image.
        choice: How many, where, and what share of them must show a mark.
        rng: Whose luck decides.
        marks: Points of foreground, as shares of the height and width.
    """
    number = choice.patches or len(grid)
    wanted = sum(rng.random() < choice.foreground for _ in range(number)) if marks else 0
    if choice.placement == "grid":
        return grid, _members(grid, min(number, len(grid)), wanted, rng, marks)
    rows, columns = zip(
        *(_place(grid, rng, marks if k < wanted else ()) for k in range(number)), strict=True
    )
    return PatchGrid(grid.raster, grid.patch, rows, columns), [(k, k) for k in range(number)]


def _members(
    grid: PatchGrid,
    number: int,
    wanted: int,
    rng: random.Random,
    marks: Sequence[tuple[float, float]],
) -> list[PatchIndex]:
    """Different patches of the grid, ``wanted`` of them with a mark as far as there are such."""
    marked = sorted({_member(grid, mark) for mark in marks})
    chosen = rng.sample(marked, min(wanted, number, len(marked)))
    others = [place for place in grid.places if place not in set(chosen)]
    return sorted([*chosen, *rng.sample(others, number - len(chosen))])


def _member(grid: PatchGrid, mark: tuple[float, float]) -> PatchIndex:
    """The patch of the grid whose middle is nearest to a mark."""
    down = mark[0] * grid.raster.height - grid.patch.height / 2
    across = mark[1] * grid.raster.width - grid.patch.width / 2
    return (
        min(range(len(grid.rows)), key=lambda k: abs(grid.rows[k] - down)),
        min(range(len(grid.columns)), key=lambda k: abs(grid.columns[k] - across)),
    )


def _place(
    grid: PatchGrid, rng: random.Random, marks: Sequence[tuple[float, float]]
) -> tuple[int, int]:
    """Row and column of a patch anywhere; with marks, one of them lies inside."""
    down, across = grid.raster.height - grid.patch.height, grid.raster.width - grid.patch.width
    if not marks:
        return rng.randint(0, down), rng.randint(0, across)
    row, column = marks[rng.randrange(len(marks))]
    top = int(row * grid.raster.height) - rng.randrange(grid.patch.height)
    left = int(column * grid.raster.width) - rng.randrange(grid.patch.width)
    return min(max(top, 0), down), min(max(left, 0), across)


def _turned(mark: tuple[float, float], turn: Turn) -> tuple[float, float]:
    """Where a point, as shares of the height and width, lies once the image is turned."""
    row, column = mark
    for _ in range(turn.quarters % 4):
        row, column = 1 - column, row
    return row, 1 - column if turn.mirrored else column


def _tint(rng: random.Random, strength: float) -> Tint:
    if not strength:
        return Tint()
    return Tint(rng.uniform(1 - strength, 1 + strength), rng.uniform(-strength, strength))
