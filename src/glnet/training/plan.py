"""What every optimiser step sees, known before anything is read.

A plan follows from the seed, the stage, the epoch and the number of the image alone: not from how
many processes read or compute, nor from what was read before. So a run that goes on after a crash,
or on other machines, sees what it would have seen.

A step's work is a list of tasks (`tasks.py`).
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise, zip_longest
from typing import NamedTuple

from glnet.geometry import Size, Window
from glnet.model.config import Framing
from glnet.training.augmentation import Turn, random_turn
from glnet.training.choosing import choose
from glnet.training.tasks import Choice, Look, Schedule, Task, Tint


class Part(NamedTuple):
    """Which process this is, of how many that share every step's images."""

    rank: int = 0
    world: int = 1


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
