"""Files of a run folder that are written again and again: whole or as they were."""

from pathlib import Path

from glnet.errors import OutputError
from glnet.raster.writing.output import partial_file, publish, write_error


def write_whole(path: Path, content: bytes | str) -> None:
    """Put a file in its place, whatever was there; its folder is made.

    Raises:
        OutputError: If it cannot be written, such as on a full disk.
    """
    path = path.absolute()
    make_folder(path.parent)
    with partial_file(path) as partial:
        try:
            partial.write_bytes(content.encode() if isinstance(content, str) else content)
        except OSError as error:
            raise write_error(path, error.strerror or str(error)) from error
        publish(partial, path, overwrite=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, as far as they are missing.

    Raises:
        OutputError: If that cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error}") from error
