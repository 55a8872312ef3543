"""How far the passes over a raster are, and who notes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

Phase = Literal["patches", "global part", "done"]
"""What the passes are at: seeing patches, adding the far part to their scores, or at their end."""


@dataclass(frozen=True)
class Position:
    """How far the passes over a raster are.

    Attributes:
        phase: What they are at.
        done: How many patches, from the first on, are done in this phase.
        added: To how many patches' scores, from the first on, the far part was added.
        skipped: Patches without a measurement among those that were seen; they have no scores.
        holed: Patches of which some pixels are no measurements.
        sure: Patches, also among those that are not done, that keep the context branch's answer;
            they are not read.
    """

    phase: Phase = "patches"
    done: int = 0
    added: int = 0
    skipped: frozenset[int] = frozenset()
    holed: frozenset[int] = frozenset()
    sure: frozenset[int] = frozenset()


class Log(Protocol):
    """Where it is noted how far the passes are, so that they can go on after they were stopped."""

    @property
    def position(self) -> Position:
        """Where to start."""
        ...

    def sums(self) -> list[Tensor]:
        """The merger's sums as they were noted for that position."""
        ...

    def note(self, position: Position, sums: Sequence[Tensor], *, must: bool = False) -> None:
        """Note where the passes are, unless it was done a short while ago.

        Args:
            position: All scores up to it are written.
            sums: Of the merger, where there is one.
            must: Whether there is no choice.
        """
        ...


class Unlogged:
    """A `Log` of passes that start at the beginning and, if stopped, do so again."""

    position = Position()

    def sums(self) -> list[Tensor]:
        """Nothing was noted."""
        return []

    def note(self, position: Position, sums: Sequence[Tensor], *, must: bool = False) -> None:
        """Do not."""
