"""A run's journal as the passes over one unit see it."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from glnet.inference.journal import Journal
from glnet.inference.position import Position
from glnet.inference.score_files import Scores
from glnet.inference.scratch import PatchScores, Scratch
from glnet.model.answers import Answer


class UnitLog:
    """The notes of one unit: a `Log` for its passes, which also remembers where its scores are.

    Args:
        journal: Of the run.
        unit: Its number; the logs of a run are made in this order.
        scores: Where those of this unit wait.
    """

    def __init__(self, journal: Journal, unit: int, scores: Scores) -> None:
        self._journal = journal
        self._unit = unit
        self._state = journal.unit(unit, scores)
        self._scores = scores

    @property
    def position(self) -> Position:
        """Where to start."""
        return self._state.position

    def kept(self) -> dict[Answer, PatchScores]:
        """The places for scores that were made before.

        Raises:
            OutputError: If they are gone.
        """
        found: dict[Answer, PatchScores] = {}
        for name, frame in self._state.frames.items():
            self._scores.require(Answer(name))
            found[Answer(name)] = self._scores.section(
                self._unit, Answer(name), frame, self.position
            )
        return found

    def keep(
        self, answer: Answer, frame: Sequence[int], position: Position | None = None
    ) -> Scratch:
        """A new place for scores, of which some may have been moved (`ScoreFile`).

        Raises:
            OutputError: If there is no room for it.
        """
        self._state.frames[answer.value] = list(frame)
        return self._scores.section(self._unit, answer, frame, position)

    def sums(self) -> list[Tensor]:
        """The merger's sums as they were noted."""
        return self._journal.sums()

    def note(self, position: Position, sums: Sequence[Tensor], *, must: bool = False) -> None:
        """Note where the passes are, unless it was done a short while ago.

        Raises:
            OutputError: If the disk is full; what was noted before is still good.
        """
        self._state.position = position
        self._journal.note(self._unit, sums, must=must)

    def thumbnail(self, make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """The thumbnail, read once."""
        return self._journal.remembered(f"thumbnail-{self._unit}", make)

    def forget_thumbnail(self) -> None:
        """It is not needed any more."""
        self._journal.forget(f"thumbnail-{self._unit}")
