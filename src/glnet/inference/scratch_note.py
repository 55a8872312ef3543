"""Where the scores of an unfinished run wait: noted, so that no later run has to be told."""

import hashlib
import os
from pathlib import Path

from glnet.raster.writing.output import partial_file

NOTE = "scratch"
"""A file among the notes: the folder that was given for scores; empty if they are beside them."""


def scratch_folder(scratch: Path, output: Path) -> Path:
    """One per result, also where results of the same name come from several folders."""
    mark = hashlib.sha256(os.fsencode(output.absolute())).hexdigest()[:8]
    return scratch / f"{output.name}.{mark}.unfinished"


def note_scratch(folder: Path, scratch: Path | None) -> None:
    """Note the folder that is given for scores, on the disk when this returns.

    Raises:
        OSError: If there is no room.
    """
    path = folder / NOTE
    with partial_file(path) as partial:
        with partial.open("wb") as file:
            file.write(b"" if scratch is None else os.fsencode(scratch.absolute()))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)


def noted_scratch(folder: Path, given: Path | None) -> Path | None:
    """The folder that was given to an unfinished run; ``given`` if it has noted none.

    Raises:
        OSError: If the note cannot be read.
    """
    path = folder / NOTE
    if not path.exists():  # The run began before folders were noted.
        return given
    noted = path.read_bytes()
    if b"\0" in noted:  # No path holds one.
        return given
    return Path(os.fsdecode(noted)) if noted else None
