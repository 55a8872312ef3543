"""The files in which scores of all units of a run wait, one for each answer."""

from collections.abc import Sequence
from pathlib import Path

import torch

from glnet.errors import OutputError
from glnet.inference.position import Position
from glnet.inference.scratch import ScoreFile, ScoreShape, Scratch
from glnet.model.answers import Answer

SPARE_BYTES = 1 << 26
"""How far scores move when the far part is added (`ScoreFile`): so often that is noted."""


class Scores:
    """The files of scores of one run, made when they are needed.

    Args:
        units: The numbers of the rasters there are: regions, each laid in so many ways.
        patches: Of each.
        batch: How many patches are moved at once.
        folder: Where; the system's temporary one if None.
        name: What files' names begin with, where they have names and outlast this process.
    """

    def __init__(
        self, units: range, patches: int, batch: int, folder: Path | None, name: str | None = None
    ) -> None:
        self._units = units
        self._patches = patches
        self._batch = batch
        self._folder = folder
        self._beginning = name
        self._files: dict[Answer, ScoreFile] = {}

    def section(
        self, unit: int, answer: Answer, frame: Sequence[int], position: Position | None = None
    ) -> Scratch:
        """The place for a unit's scores of an answer.

        Raises:
            OutputError: If the folder is not writable or the disk is full.
        """
        if answer not in self._files:
            shape = _shape(answer, len(self._units), self._patches, self._batch, frame)
            if self._beginning is None:
                shape = shape._replace(spare=0)  # Nobody will move them a second time.
            self._files[answer] = ScoreFile(shape, self._folder, self._name(answer))
        added = 0 if position is None else position.added
        return self._files[answer].section(unit - self._units.start, frame, added)

    def require(self, answer: Answer) -> None:
        """Refuse to go on without a file that was there.

        Raises:
            OutputError: If it is gone.
        """
        place = (self._folder or Path()) / (self._name(answer) or "")
        if not place.is_file():
            raise OutputError(
                f"the scratch file {place} is gone, so this run cannot be resumed; start it again "
                "without --resume, with --overwrite"
            )

    def flush(self) -> None:
        """Have everything on the disk when this returns."""
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        """Close the files; those without a name vanish."""
        for file in self._files.values():
            file.close()

    def _name(self, answer: Answer) -> str | None:
        return None if self._beginning is None else f"{self._beginning}-{answer.value}.bin"


def score_bytes(answer: Answer, units: int, patches: int, batch: int, frame: Sequence[int]) -> int:
    """What the file of an answer's scores takes, see `Scores`; ``frame`` is (K, h, w)."""
    return _shape(answer, units, patches, batch, frame).bytes


def _shape(
    answer: Answer, units: int, patches: int, batch: int, frame: Sequence[int]
) -> ScoreShape:
    numbers = torch.Size(frame).numel()
    if answer is Answer.GLOBAL:
        return ScoreShape(units, 1, numbers, 0)
    # Only the aggregated scores have a far part.
    spare = min(patches, max(batch, SPARE_BYTES // (4 * numbers)))
    return ScoreShape(units, patches, numbers, spare if answer is Answer.AGGREGATED else 0)
