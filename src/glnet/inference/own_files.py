"""Which files of a folder of notes are a run's own: no others are ever removed."""

import re
from contextlib import suppress
from pathlib import Path

from glnet.errors import OutputError

OWN = re.compile(
    r"lock|scratch|journal\.json|[\w-]*scores-[\w-]+\.bin|sums-[\w-]+\.bin|thumbnail-[\w-]+\.npy"
    # Of writing that was killed.
    r"|\.(scratch|journal\.json|thumbnail-[\w-]+\.npy)\..*\.partial"
)
"""The names of what `Journal` writes."""


def require_own(folder: Path) -> None:
    """Refuse a folder that holds anything else.

    Raises:
        OutputError: If it does, or is closed to us.
    """
    if not folder.is_dir():
        return
    try:
        others = sorted(of.name for of in folder.iterdir() if not _is_own(of))
    except OSError as error:
        raise OutputError(f"{folder} cannot be read: {error.strerror}") from error
    if others:
        raise OutputError(
            f"{folder} is for the notes of a run, but holds {others[0]!r}, which is none of them; "
            "move that elsewhere, or choose another output"
        )


def own_files(folder: Path) -> list[Path]:
    """A run's own files in a folder.

    Raises:
        OSError: If the folder cannot be read.
    """
    return [file for file in folder.iterdir() if _is_own(file)]


def remove_with_folder(folder: Path) -> None:
    """Remove a run's own files, and the folder if that is all it held; as far as it can be."""
    with suppress(OSError):
        for file in own_files(folder):
            with suppress(OSError):
                file.unlink()
        folder.rmdir()  # Fails where something else lies there.


def _is_own(file: Path) -> bool:
    return OWN.fullmatch(file.name) is not None and not file.is_dir()
