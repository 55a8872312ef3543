"""What must be remembered per patch between the passes, in a file and not in memory."""

import errno
import os
import shutil
import tempfile
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.closing import Closing
from glnet.errors import OutputError, PredictionError


class PatchScores(Protocol):
    """Scores of all patches, one shape (K, h, w) for all, that wait until they are stitched."""

    @property
    def frame(self) -> torch.Size:
        """The shape."""
        ...

    @property
    def classes(self) -> int:
        """How many classes a patch has scores for."""
        ...

    def write(self, patches: Sequence[int], scores: Tensor) -> None:
        """Keep the scores (N, K, h, w) of some patches."""
        ...

    @property
    def spare(self) -> int:
        """How many patches may be added to until what they were before is overwritten."""
        ...

    def add(self, patches: Sequence[int], scores: Tensor) -> None:
        """Add to the scores of some patches; in order, every patch once."""
        ...

    def read(self, patch: int, device: torch.device) -> Tensor:
        """The scores of a patch."""
        ...

    def close(self) -> None:
        """Give the space back; closing twice does nothing."""
        ...


class ScoreShape(NamedTuple):
    """How large a `ScoreFile` is.

    Attributes:
        units: How many rasters have their scores in it.
        patches: How many patches each has.
        numbers: Numbers of a patch, float32.
        spare: Slots between where scores are written and where they end; 0 adds in place.
    """

    units: int
    patches: int
    numbers: int
    spare: int

    @property
    def bytes(self) -> int:
        """Of the file."""
        return 4 * self.numbers * (self.units * self.patches + self.spare)


class ScoreFile:
    """Scores of one kind in one file: of all patches of one raster after another (units).

    Every patch has a slot. A unit's scores are first written some slots further on than where they
    belong (`spare`), and move to their place when the far part is added to them: so what was there
    before a batch was moved is still there until that many slots have been moved, and a run that
    was stopped can move them again.

    Read and written, not mapped: mapped pages would count as this process's memory.

    Args:
        shape: How large it is.
        folder: Where it lies; the system's temporary folder by default.
        name: Of a file that stays; one without a name vanishes when it is closed.

    Raises:
        OutputError: If the folder is not writable or the disk is full.
    """

    def __init__(
        self, shape: ScoreShape, folder: Path | None = None, name: str | None = None
    ) -> None:
        self.shape = shape
        self._slot_bytes = 4 * shape.numbers
        try:
            self._file = _reserved(shape.bytes, folder, name)
        except OSError as error:
            raise no_room(shape.bytes, folder, error) from error

    def section(self, unit: int, frame: Sequence[int], added: int = 0) -> "Scratch":
        """The scores of a unit.

        Args:
            unit: Which, from 0 on.
            frame: (K, h, w) of one patch.
            added: How many patches, from the first on, have their far part.
        """
        return Scratch(self, unit * self.shape.patches, torch.Size(frame), added)

    def read(self, slot: int, numbers: NDArray[np.float32]) -> None:
        """Fill an array from a slot."""
        self._file.seek(slot * self._slot_bytes)
        left = numbers.data.cast("B")
        while left:
            got = self._file.readinto(left)
            if not got:
                raise OutputError("the scratch file is shorter than it was made")
            left = left[got:]

    def write(self, slot: int, numbers: NDArray[np.float32]) -> None:
        """Put an array into a slot.

        Raises:
            OutputError: If the disk is full.
        """
        try:
            self._file.seek(slot * self._slot_bytes)
            left = numbers.data.cast("B")
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise OutputError(f"cannot write the scratch file: {error}; free some space") from error

    def flush(self) -> None:
        """Have everything on the disk when this returns."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        self._file.close()


class NoScores:
    """The scores of a raster without a measurement: there are none.

    Args:
        classes: How many classes a patch would have scores for.
    """

    spare = 0

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.frame = torch.Size((classes, 1, 1))

    def write(self, patches: Sequence[int], scores: Tensor) -> None:
        """Nothing is to be kept."""

    def add(self, patches: Sequence[int], scores: Tensor) -> None:
        """Nothing is to be kept."""

    def read(self, patch: int, device: torch.device) -> Tensor:
        """Zeros."""
        del patch
        return torch.zeros(self.frame, device=device)

    def close(self) -> None:
        """Nothing is open."""


class Scratch(Closing):
    """The scores of all patches of one raster, at stride 4, float32 (`ScoreFile.section`)."""

    def __init__(self, file: ScoreFile, first: int, frame: torch.Size, added: int = 0) -> None:
        self.spare = file.shape.spare
        self._file = file
        self._first = first
        self._frame = frame
        self._added = added

    @classmethod
    def alone(cls, patches: int, frame: Sequence[int], folder: Path | None = None) -> "Scratch":
        """A file for one raster alone; `close` it.

        Raises:
            OutputError: If the folder is not writable or the disk is full.
        """
        size = torch.Size(frame)
        return cls(ScoreFile(ScoreShape(1, patches, size.numel(), 0), folder), 0, size)

    @property
    def frame(self) -> torch.Size:
        """The shape (K, h, w) of one patch."""
        return self._frame

    @property
    def classes(self) -> int:
        """How many classes a patch has scores for."""
        return self._frame[0]

    def write(self, patches: Sequence[int], scores: Tensor) -> None:
        """Keep the scores (N, K, h, w) of some patches.

        Raises:
            OutputError: If the disk is full.
            PredictionError: If a score is no number.
        """
        for patch, of in zip(patches, _on_host(scores), strict=True):
            self._file.write(self._first + self._slot(patch), of)

    def add(self, patches: Sequence[int], scores: Tensor) -> None:
        """Add the far part (N, K, h, w) of some patches; in order, every patch once.

        Raises:
            OutputError: If the disk is full.
            PredictionError: If a score is no number.
        """
        for patch, of in zip(patches, _on_host(scores), strict=True):
            kept = np.empty(tuple(self.frame), dtype=np.float32)
            self._file.read(self._first + self.spare + patch, kept)
            kept += of
            self._file.write(self._first + patch, kept)
            self._added = patch + 1

    def read(self, patch: int, device: torch.device) -> Tensor:
        """The scores (K, h, w) of a patch."""
        numbers = np.empty(tuple(self.frame), dtype=np.float32)
        self._file.read(self._first + self._slot(patch), numbers)
        return torch.from_numpy(numbers).to(device)

    def _slot(self, patch: int) -> int:
        """Where a patch's scores are now."""
        return patch if patch < self._added else patch + self.spare

    def close(self) -> None:
        """Close the file, for all rasters that it holds; closing twice does nothing."""
        self._file.close()


def no_room(size: int, folder: Path | None, error: OSError) -> OutputError:
    """What to raise where a scratch file cannot be made."""
    where = Path(tempfile.gettempdir()) if folder is None else folder
    missing = ""
    if error.errno == errno.ENOSPC:
        missing = f", {in_mib(size - shutil.disk_usage(where).free)} are missing"
    return OutputError(
        f"cannot make a scratch file of {in_mib(size)} in {where}{missing}: "
        f"{error.strerror or error}; free some space or name another folder for it"
    )


def in_mib(size: int) -> str:
    """A number of bytes, rounded up."""
    return f"{-(-size // 2**20)} MiB"


def _on_host(scores: Tensor) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = scores.detach().float().cpu().contiguous().numpy()
    # No class wins among them, so that the first one would, everywhere.
    if np.isnan(numbers).any():
        raise PredictionError(
            "the network's scores are not numbers (NaN); compute in float32 if you did not, else "
            "its weights are damaged or the image's values are far from those it was trained on"
        )
    return numbers


def _reserved(size: int, folder: Path | None, name: str | None) -> FileIO:
    """A file whose bytes are there, so that a full disk is met before the work.

    Without a buffer of Python's own, so that a killed process leaves what it has written.
    """
    file: FileIO
    if folder is None or name is None:
        file = tempfile.TemporaryFile(dir=folder, prefix="glnet-", buffering=0)  # noqa: SIM115
    else:
        file = FileIO(folder / name, "r+" if (folder / name).exists() else "x+")
    try:
        _reserve(file.fileno(), size)
    except OSError:
        file.close()
        raise
    return file


def _reserve(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:  # macOS: the file is sparse there, and a full disk is met later
        os.truncate(descriptor, size)
