"""``history.csv``: one row per round, there at once and never half."""

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path

from glnet.errors import OutputError
from glnet.raster.writing.output import write_error
from glnet.training.following.files import make_folder, write_whole
from glnet.training.following.rounds import COLUMNS, Round, round_of, row_of

SAME_EPOCH = 1e-6
"""Epochs that differ by less are the same; they come from sums of parts."""


class History:
    """The rounds of a run, in the order in which they were trained.

    Args:
        path: Of the file; the rows that are there stay, but for one that was torn.

    Raises:
        OutputError: If the file is there and no history, or cannot be read or mended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rounds = read_history(path) if path.exists() else []
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            self._rewrite(self.rounds)

    def append(self, of: Round) -> None:
        """Add a round; it is on the disk when this returns.

        Raises:
            OutputError: If it cannot be written, such as on a full disk.
        """
        if not self.rounds and not self.path.exists():
            make_folder(self.path.parent)
        try:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(_text([] if file.tell() else [list(COLUMNS)], [of]))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise write_error(self.path, error.strerror or str(error)) from error
        self.rounds.append(of)

    def resume(self, stage: str, epoch: float) -> None:
        """Forget what lies beyond the point that training goes on from.

        Args:
            stage: That goes on.
            epoch: How many of its epochs are done.

        Raises:
            OutputError: If the file cannot be written.
        """
        kept = rounds_until(self.rounds, stage, epoch)
        if len(kept) < len(self.rounds):
            self._rewrite(kept)

    def _rewrite(self, rounds: list[Round]) -> None:
        write_whole(self.path, _text([list(COLUMNS)], rounds))
        self.rounds = rounds


def rounds_until(rounds: Iterable[Round], stage: str, epoch: float) -> list[Round]:
    """The rounds up to an epoch of a stage: its later ones and all that follow are left out."""
    kept: list[Round] = []
    has_begun = False
    for each in rounds:
        has_begun = has_begun or each.stage == stage
        if has_begun and (each.stage != stage or each.epoch > epoch + SAME_EPOCH):
            break
        kept.append(each)
    return kept


def read_history(path: Path) -> list[Round]:
    """Read a history; a last row that was torn when the run was killed is dropped.

    Raises:
        OutputError: If the file cannot be read, or has rows that are no rounds.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise OutputError(f"cannot read the history {path}: {error}") from error
    lines = text.splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    if not whole:
        return []
    try:
        header, *rows = csv.reader(whole)
    except csv.Error as error:
        raise OutputError(f"{path} is no history: {error}; move it away") from error
    if header != list(COLUMNS):
        raise OutputError(
            f"{path} is no history of this glnet: expected the columns {', '.join(COLUMNS)}, "
            f"got {', '.join(header)}; move the file away to begin a new one"
        )
    return [_round(path, number, row) for number, row in enumerate(rows, start=2)]


def _round(path: Path, number: int, row: list[str]) -> Round:
    try:
        return round_of(row)
    except (ValueError, KeyError) as error:
        raise OutputError(
            f"{path}, line {number}: not the numbers of a round ({error}); remove the line"
        ) from error


def _text(head: list[list[str]], rounds: Iterable[Round]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([*head, *map(row_of, rounds)])
    return file.getvalue()
