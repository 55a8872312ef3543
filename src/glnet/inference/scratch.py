"""What must be remembered per patch between the passes, in a file and not in memory."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import torch
from torch import Tensor

from glnet.errors import OutputError


class Scratch:
    """Class scores of all patches at stride 4, float32, in an unnamed temporary file.

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
        size = 4 * patches * int(np.prod(shape))
        try:
            self._file = _reserved(size, folder)
        except OSError as error:
            where = folder or tempfile.gettempdir()
            raise OutputError(
                f"cannot make a scratch file of {size / 2**20:.0f} MiB in {where}: {error}; "
                "free some space or set TMPDIR"
            ) from error
        self._scores = np.memmap(self._file, dtype=np.float32, mode="r+", shape=(patches, *shape))

    @property
    def frame(self) -> torch.Size:
        """(K, h, w) of a patch."""
        return torch.Size(self._scores.shape[1:])

    @property
    def classes(self) -> int:
        """How many classes a patch has scores for."""
        return int(self._scores.shape[1])

    def add(self, patch: int, scores: Tensor) -> None:
        """Add scores (K, h, w) to what is kept of a patch."""
        self._scores[patch] += scores.detach().float().cpu().numpy()

    def write(self, patch: int, scores: Tensor) -> None:
        """Keep the scores (K, h, w) of a patch."""
        self._scores[patch] = scores.detach().float().cpu().numpy()

    def read(self, patch: int, device: torch.device) -> Tensor:
        """The scores (K, h, w) of a patch."""
        return torch.from_numpy(np.array(self._scores[patch])).to(device)

    def close(self) -> None:
        """Give the disk space back."""
        del self._scores
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


def _reserved(size: int, folder: str | Path | None) -> IO[bytes]:
    """A file whose bytes are there: a full disk met later through the map kills the process."""
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
