"""Results that appear whole or not at all: written beside their place, checked, then renamed."""

import errno
import glob
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from glnet.errors import OutputError

SIDECARS = (".aux.xml", ".ovr", ".msk")
"""What GDAL and its friends keep beside a picture; of an older picture, once it is replaced."""

FULL_DISK_BYTES = 1 << 24
"""Where less than this is free, the disk was full, unless a write failed for `OTHER_REASONS`."""

OF_FULL_DISKS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

OTHER_REASONS = {os.strerror(of) for of in errno.errorcode if of not in OF_FULL_DISKS}
"""With these, how much is free does not matter: some file systems, such as /proc, have no room."""


def check_destination(path: Path, suffixes: Sequence[str], overwrite: bool) -> None:
    """Refuse a place where no result can be put, before work is spent on it.

    Raises:
        OutputError: If the suffix is none of ``suffixes``, the folder is missing or closed to us,
            or something is there already (which a folder may never be, whatever ``overwrite``).
    """
    if path.suffix.lower() not in suffixes:
        raise OutputError(
            f"{path} must end in one of {', '.join(suffixes)}, got '{path.suffix}'; "
            "the suffix chooses the format"
        )
    try:
        _check_place(path)
        _require_free(path, overwrite)
    except OutputError:
        raise
    except (OSError, ValueError) as error:  # Such as a name that is too long.
        raise OutputError(f"{path} is no place to write to: {error}") from error


@contextmanager
def partial_file(path: Path) -> Iterator[Path]:
    """A hidden path beside ``path`` to write to; gone afterwards, with its sidecars."""
    partial = partial_beside(path)
    try:
        yield partial
    finally:
        remove(partial)


def partial_beside(path: Path) -> Path:
    """A new hidden path beside ``path``, for what is to take its place or to be thrown away."""
    return path.with_name(f"{_beginning(path)}{secrets.token_hex(4)}.partial")


def remove_partials_of(path: Path) -> None:
    """Remove what killed processes have left beside ``path``; no other may be writing it."""
    for partial in path.parent.glob(f"{glob.escape(_beginning(path))}????????.partial*"):
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            with suppress(OSError):  # Another user's: it only takes room.
                partial.unlink()


def publish(partial: Path, path: Path, overwrite: bool) -> None:
    """Put a finished file, and what lies beside it, in its place; on disk when this returns.

    Raises:
        OutputError: If something has appeared there meanwhile, or it cannot be moved.
    """
    _require_free(path, overwrite)
    try:
        _flush_to_disk(partial)
        partial.replace(path)
        for ending in SIDECARS:
            sidecar = sidecar_of(partial, ending)
            if sidecar.exists():
                sidecar.replace(sidecar_of(path, ending))
            else:
                sidecar_of(path, ending).unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error.strerror or str(error)) from error


def remove(partial: Path) -> None:
    """Remove an unfinished file and its sidecars, as far as they exist."""
    for file in (partial, *(sidecar_of(partial, ending) for ending in SIDECARS)):
        file.unlink(missing_ok=True)


def sidecar_of(path: Path, ending: str) -> Path:
    """The file that holds more about a picture, beside it."""
    return path.with_name(path.name + ending)


def write_error(path: Path, reason: str) -> OutputError:
    """What to raise when writing has failed; ``reason`` as the system says it, or GDAL."""
    free = None if reason in OTHER_REASONS else _free_beside(path)
    if free is None:
        return OutputError(f"{path} could not be written whole: {reason}")
    if free < FULL_DISK_BYTES:
        return OutputError(f"disk full while writing {path}: {free} bytes free; make room there")
    return OutputError(f"{path} could not be written whole: {reason}; {free} bytes free there")


def folder_error(folder: Path, error: OSError) -> OutputError:
    """What to raise when a folder cannot be made."""
    parent, said = folder.parent, error.strerror or str(error)
    match error.errno:
        case errno.ENOENT if not parent.exists():
            return OutputError(f"the folder {parent} does not exist; create it, or name another")
        case errno.ENOTDIR:
            return OutputError(f"{parent} is no folder, so there can be none in it; name a folder")
        case errno.EEXIST:
            return OutputError(
                f"{folder} is no folder, but one is needed there; move it away, or choose another "
                "output"
            )
        case number if number in OF_FULL_DISKS:
            return write_error(folder, said)
        case _:
            return OutputError(f"no folder can be made in {parent} ({said}); choose another place")


def _free_beside(path: Path) -> int | None:
    """The bytes that are free where a file is to lie; None if its folder has gone."""
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return None


def _beginning(path: Path) -> str:
    """Of the names of all that is written for ``path`` and for no other file of its folder."""
    # Cut short, so that a name that is allowed for the result is allowed with these additions;
    # names of satellite scenes differ after that only.
    mark = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]
    return f".{path.name[:40]}.{mark}."


def _check_place(path: Path) -> None:
    folder = path.parent
    # Fails where there is room for the name, but not for that of a sidecar.
    sidecar_of(path, max(SIDECARS, key=len)).exists()
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file in it")
    if not folder.is_dir():
        raise OutputError(f"the folder {folder} does not exist; create it, then write {path.name}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {folder} is not writable; choose another for {path.name}")


def _require_free(path: Path, overwrite: bool) -> None:
    if not overwrite and path.exists():
        raise OutputError(
            f"{path} exists already; allow overwriting (--overwrite) or choose another name"
        )


def _flush_to_disk(path: Path) -> None:
    # Some file systems tell only now that there is no room.
    with path.open("rb+") as file:
        os.fsync(file.fileno())
