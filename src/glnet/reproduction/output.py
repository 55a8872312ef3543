"""Whether results can go where they are asked for, before hours of work."""

import os
from contextlib import suppress
from pathlib import Path

from glnet.errors import OutputError


def require_output(folder: Path) -> None:
    """Refuse a folder that cannot be made or written to; what is made to find out is removed.

    Raises:
        OutputError: If it is a file, or cannot be made or written to.
    """
    try:
        missing = [of for of in (folder, *folder.parents) if not of.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputError(f"{folder} is a file, or lies below one; name a folder") from error
    except OSError as error:
        raise OutputError(
            f"the folder {folder} cannot be made: {error.strerror}; choose another"
        ) from error
    is_writable = os.access(folder, os.W_OK | os.X_OK)
    with suppress(OSError):  # Somebody else has put something there.
        for of in missing:
            of.rmdir()
    if not is_writable:
        raise OutputError(f"the folder {folder} is not writable; choose another")
