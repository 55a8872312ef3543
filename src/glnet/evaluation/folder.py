"""A folder of results that appears whole or not at all."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from glnet.errors import OutputError
from glnet.raster.writing.output import partial_beside, write_error


@contextmanager
def whole_folder(path: Path, marks: Sequence[str], overwrite: bool) -> Iterator[Path]:
    """A hidden folder beside ``path`` to write to, which takes its place if the block ends well.

    Args:
        path: Absolute.
        marks: Files that tell an earlier folder of the same kind, which may be replaced.
        overwrite: Whether it is.

    Raises:
        OutputError: As `require_free`, or if it cannot be made or moved.
    """
    require_free(path, marks, overwrite)
    with partial_folder(path) as partial:
        yield partial
        try:
            _publish(partial, path, marks, overwrite)
        except OSError as error:
            raise write_error(path, error.strerror or str(error)) from error


@contextmanager
def partial_folder(path: Path) -> Iterator[Path]:
    """A hidden folder beside ``path`` to write to; gone afterwards, unless it has been renamed."""
    partial = partial_beside(path)
    try:
        partial.mkdir()
    except OSError as error:
        raise OutputError(
            f"no report can be made at {path}: {error.strerror}; its folder must exist and be "
            "writable"
        ) from error
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def require_free(path: Path, marks: Sequence[str], overwrite: bool) -> None:
    """Refuse a place that is taken; a report may be replaced, other things never.

    Raises:
        OutputError: If it is a file, or a folder with something in it that may not be replaced.
    """
    if path.is_dir():
        if not any(path.iterdir()):
            return
        if not overwrite:
            raise OutputError(f"{path} exists and is not empty; choose another, or overwrite it")
        if not all((path / name).is_file() for name in marks):
            raise OutputError(f"{path} is no earlier report; it is left as it is, choose another")
    elif path.exists():
        raise OutputError(f"{path} is a file; a report needs a folder, choose another name")


def _publish(partial: Path, path: Path, marks: Sequence[str], overwrite: bool) -> None:
    """Put the finished folder in its place; an earlier one is there until that moment."""
    require_free(path, marks, overwrite)
    earlier = partial.with_suffix(".earlier")
    if path.exists():
        path.rename(earlier)
    try:
        partial.rename(path)
    except BaseException:
        if earlier.exists():
            earlier.rename(path)
        raise
    shutil.rmtree(earlier, ignore_errors=True)
