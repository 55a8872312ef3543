"""What must be remembered per patch between the passes, in a file and not in memory."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from glnet.errors import OutputError

if TYPE_CHECKING:
    from io import BufferedRandom


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

    def add(self, patches: Sequence[int], scores: Tensor) -> None:
        """Add to the scores of some patches."""
        ...

    def read(self, patch: int, device: torch.device) -> Tensor:
        """The scores of a patch."""
        ...

    def close(self) -> None:
        """Give the space back; closing twice does nothing."""
        ...


class Scratch:
    """Class scores of all patches at stride 4, float32, in an unnamed temporary file.

    Read and written, not mapped: mapped pages would count as this process's memory.

    Args:
        patches: How many patches.
        shape: (K, h, w) of one patch.
        folder: Where; the system's temporary folder by default.

    Raises:
        OutputError: If the folder is not writable or the disk is full.
    """

    def __init__(
        self, patches: int, shape: Sequence[int], folder: str | Path | None = None
    ) -> None:
        self._frame = torch.Size(shape)
        self._patch_bytes = 4 * self._frame.numel()
        size = self._patch_bytes * patches
        try:
            self._file = _reserved(size, folder)
        except OSError as error:
            where = folder or tempfile.gettempdir()
            raise OutputError(
                f"cannot make a scratch file of {size / 2**20:.0f} MiB in {where}: {error}; "
                "free some space or set TMPDIR"
            ) from error

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
        """
        self._write(patches, scores.detach().float().cpu())

    def add(self, patches: Sequence[int], scores: Tensor) -> None:
        """Add scores (N, K, h, w) to what is kept of some patches.

        Raises:
            OutputError: If the disk is full.
        """
        kept = torch.stack([self.read(patch, torch.device("cpu")) for patch in patches])
        self._write(patches, kept + scores.detach().float().cpu())

    def read(self, patch: int, device: torch.device) -> Tensor:
        """The scores (K, h, w) of a patch."""
        numbers = np.empty(tuple(self.frame), dtype=np.float32)
        self._file.seek(patch * self._patch_bytes)
        self._file.readinto(numbers.data)
        return torch.from_numpy(numbers).to(device)

    def _write(self, patches: Sequence[int], scores: Tensor) -> None:
        try:
            for patch, of in zip(patches, scores.contiguous().numpy(), strict=True):
                self._file.seek(patch * self._patch_bytes)
                self._file.write(of.data)
        except OSError as error:
            raise OutputError(f"cannot write the scratch file: {error}; free some space") from error

    def close(self) -> None:
        """Give the disk space back; closing twice does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _reserved(size: int, folder: str | Path | None) -> "BufferedRandom":
    """A file whose bytes are there, so that a full disk is met before the work."""
    file = tempfile.TemporaryFile(dir=folder, prefix="glnet-")  # noqa: SIM115
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
