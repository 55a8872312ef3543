"""What a run over one image has done, on disk, so that it can go on after it was stopped.

Beside the result lies ``<result>.unfinished`` until the result is there: scores that wait, the
thumbnails, the merger's sums, and ``journal.json``, which says up to where all of that is good. It
is written last, and replaced whole, so what it says is true whenever the process or the machine
stops.
"""

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from torch import Tensor

from glnet.errors import OutputError
from glnet.inference.own_files import own_files, remove_with_folder, require_own
from glnet.inference.score_files import Scores
from glnet.inference.scratch_note import note_scratch, noted_scratch, scratch_folder
from glnet.inference.unit_notes import UnitNotes, list_of, mapping_of
from glnet.raster.writing.output import folder_error, partial_file, write_error

ENDING = ".unfinished"
JOURNAL, LOCK = "journal.json", "lock"
FORMAT = 2
SUMS = re.compile(r"sums-[\w-]+\.bin")

SECONDS_BETWEEN_NOTES = 30.0
"""At least; and `PAUSE_SHARE` times as long as a note takes."""

PAUSE_SHARE = 20


class Journal:
    """The notes of one run over one image; nothing is on the disk before `open`.

    Args:
        output: The result that the run is for.
        facts: What the run depends on, plain values: the image, the model, the settings.
        scratch: The folder for scores, if not beside the result; a run that goes on keeps its own.
    """

    def __init__(self, output: Path, facts: Mapping[str, Any], scratch: Path | None = None) -> None:
        self.folder = unfinished_beside(output)
        self._output = output
        self._facts = json.loads(json.dumps(facts))
        self._scratch = scratch
        self._units: list[UnitNotes] = []
        self._scores: list[Scores] = []
        self._sums: str | None = None
        self._next_note = time.monotonic() + SECONDS_BETWEEN_NOTES
        self._lock = FileLock(self.folder / LOCK, timeout=0)

    def open(self) -> None:
        """Keep other runs away.

        Raises:
            OutputError: If another process works on this result, or the folder cannot be made, or
                is there and no run's.
        """
        if not self.has_notes:
            require_own(self.folder)
        _make(self.folder)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise OutputError(
                f"another run is writing {self._output}; wait for it, or choose another output"
            ) from error
        except OSError as error:
            raise write_error(self.folder, error.strerror or str(error)) from error

    @property
    def scores_folder(self) -> Path:
        """Where scores wait."""
        return self.folder if self._scratch is None else scratch_folder(self._scratch, self._output)

    @property
    def has_notes(self) -> bool:
        """Whether there is something to go on from."""
        return (self.folder / JOURNAL).is_file()

    def start(self) -> None:
        """Forget what was there and begin anew.

        Raises:
            OutputError: If the folder for scores cannot be made, or there is something in the
                folder for notes that is no run's.
        """
        require_own(self.folder)
        self._units = []
        try:
            _make(self.scores_folder)  # First: where there is no place, nothing is forgotten.
            earlier = noted_scratch(self.folder, None)
            if earlier is not None:
                remove_with_folder(scratch_folder(earlier, self._output))
                _make(self.scores_folder)  # It may be the same one.
            for file in {*own_files(self.folder), *own_files(self.scores_folder)}:
                if file.name != LOCK:
                    file.unlink()
            note_scratch(self.folder, self._scratch)
        except OutputError:
            raise
        except OSError as error:
            raise write_error(self.scores_folder, error.strerror or str(error)) from error

    def resume(self) -> None:
        """Go on from what was noted, with the scores where they are.

        Raises:
            OutputError: If it does not belong to this run, or cannot be read.
        """
        path = self.folder / JOURNAL
        try:
            noted = mapping_of(json.loads(path.read_text()), "it")
            if noted.get("format") != FORMAT:
                raise ValueError(f"format {noted.get('format')!r}, expected {FORMAT}")
            facts = mapping_of(noted.get("facts"), "what the run depends on")
            self._units = [UnitNotes.from_dict(of) for of in list_of(noted.get("units"), "units")]
            self._sums = _name_of_sums(noted.get("sums"))
            self._scratch = noted_scratch(self.folder, self._scratch)
        except (OSError, ValueError, RecursionError) as error:
            raise OutputError(
                f"the journal {path} cannot be read ({error}); start again without --resume, with "
                "--overwrite"
            ) from error
        others = [key for key in {**facts, **self._facts} if facts.get(key) != self._facts.get(key)]
        if others:
            key = others[0]
            raise OutputError(
                f"the unfinished run of {self._output} was another one: {key} was "
                f"{facts.get(key)}, is {self._facts.get(key)}; start again without --resume, with "
                "--overwrite"
            )

    def unit(self, unit: int, scores: Scores) -> UnitNotes:
        """The notes of one unit, whose scores go to the disk before them; units come in order."""
        while len(self._units) <= unit:
            self._units.append(UnitNotes())
        if scores not in self._scores:
            self._scores.append(scores)
        return self._units[unit]

    def note(self, unit: int, sums: Sequence[Tensor], *, must: bool) -> None:
        """Write down how far the run is, once scores and sums are on the disk.

        Raises:
            OutputError: If the disk is full; what was noted before is still good.
        """
        begin = time.monotonic()
        # A short run leaves nothing: where nothing is noted yet, nothing has to be kept up with.
        if begin < self._next_note and not (must and self.has_notes):
            return
        before, position = self._sums, self._units[unit].position
        if position.phase == "global part" and not sums and before is None:
            return  # Without sums, nobody could go on from here.
        try:
            for scores in self._scores:
                scores.flush()
            self._sums = None
            if sums:
                self._sums = f"sums-{unit}-{position.phase.replace(' ', '-')}-{position.done}.bin"
                _write_arrays(self.folder / self._sums, [of.cpu().numpy() for of in sums])
            elif position.phase == "global part":
                self._sums = before  # They are needed until this phase ends.
            self._write()
            if before is not None and before != self._sums:
                (self.folder / before).unlink(missing_ok=True)
        except OSError as error:
            raise write_error(self.folder, error.strerror or str(error)) from error
        took = time.monotonic() - begin
        self._next_note = time.monotonic() + max(SECONDS_BETWEEN_NOTES, PAUSE_SHARE * took)

    def sums(self) -> list[Tensor]:
        """The merger's sums as last noted.

        Raises:
            OutputError: If they are gone.
        """
        path = self.folder / (self._sums or "sums")
        try:
            return [torch.from_numpy(of) for of in _read_arrays(path)]
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{path} cannot be read ({error}), so this run cannot be resumed; start it again "
                "without --resume, with --overwrite"
            ) from error

    def remembered(self, name: str, make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """An array that is made once per run, such as a thumbnail."""
        path = self.folder / f"{name}.npy"
        if path.is_file():
            with suppress(OSError, ValueError, EOFError):  # Damaged: it is made again.
                found: NDArray[np.float32] = np.load(path, allow_pickle=False)
                return found
        made = make()
        # It only saves time: where there is no room for it, it is made again.
        with suppress(OSError), partial_file(path) as partial:
            with partial.open("wb") as file:
                np.save(file, made)
            partial.replace(path)
        return made

    def forget(self, name: str) -> None:
        """An array is not needed any more."""
        (self.folder / f"{name}.npy").unlink(missing_ok=True)

    def leave(self) -> None:
        """Leave everything as it was found; nothing, if there was nothing."""
        if not self._lock.is_locked:  # It is another run's, or this one was just about to lock it.
            try:
                if not self.has_notes:
                    require_own(self.folder)
                self._lock.acquire()
            except (OSError, Timeout):
                return
        if not any(file.name != LOCK for file in self.folder.iterdir()):
            remove_with_folder(self.folder)
        self._lock.release()

    def close(self, *, is_kept: bool) -> None:
        """Let another run go on here, if anything was noted; else leave nothing."""
        is_kept = is_kept and self.has_notes
        if not is_kept and self._scratch is not None:
            remove_with_folder(self.scores_folder)
        if not is_kept:
            remove_with_folder(self.folder)
        self._lock.release()

    def _write(self) -> None:
        path = self.folder / JOURNAL
        noted = {
            "format": FORMAT,
            "facts": self._facts,
            "units": [of.to_dict() for of in self._units],
            "sums": self._sums,
        }
        with partial_file(path) as partial:
            with partial.open("w") as file:
                json.dump(noted, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)


def unfinished_beside(output: Path) -> Path:
    """Where the notes of a run that makes this result are."""
    return output.with_name(output.name + ENDING)


def _make(folder: Path) -> None:
    """Make a folder, unless it is there.

    Raises:
        OutputError: If it cannot be made.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise folder_error(folder, error) from error


def _name_of_sums(of: object) -> str | None:
    """As noted, which is to be the name of a file in the folder of notes.

    Raises:
        ValueError: If it is not.
    """
    if of is None or (isinstance(of, str) and SUMS.fullmatch(of)):
        return of
    raise ValueError(f"sums are {of!r}")


def _write_arrays(path: Path, arrays: Sequence[NDArray[np.float32]]) -> None:
    with path.open("wb") as file:
        for array in arrays:
            np.save(file, array)
        file.flush()
        os.fsync(file.fileno())


def _read_arrays(path: Path) -> list[NDArray[np.float32]]:
    found = []
    with path.open("rb") as file:
        while file.peek(1):
            found.append(np.load(file, allow_pickle=False))
    return found
