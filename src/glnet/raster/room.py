"""Temporary files whose bytes are there from the start, so that a full disk is met before work."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from glnet.errors import OutputError

if TYPE_CHECKING:
    from io import BufferedRandom


def temporary_room(size: int, folder: Path) -> "BufferedRandom":
    """A file of zeros; without a name where the system allows it, so that nothing is left behind.

    Args:
        size: Its bytes.
        folder: Where it lies.

    Raises:
        OutputError: If the folder cannot be written to, or has no room.
    """
    try:
        file = tempfile.TemporaryFile(dir=folder, prefix="glnet-")  # noqa: SIM115
        try:
            _reserve(file.fileno(), size)
        except OSError:
            file.close()
            raise
    except OSError as error:
        raise OutputError(
            f"cannot make a temporary file of {size / 2**20:.0f} MiB in {folder}: {error}; free "
            "some space or choose another folder"
        ) from error
    return file


def _reserve(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:  # macOS: the file is sparse there, and a full disk is met later
        os.truncate(descriptor, size)
