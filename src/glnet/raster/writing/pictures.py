"""Small pictures for people to look at."""

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glnet.errors import OutputError
from glnet.raster.writing.output import check_destination, partial_file, publish, write_error

JPEG_QUALITY = 90

PICTURE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def write_picture(path: str | Path, pixels: NDArray[np.uint8], overwrite: bool = False) -> None:
    """Write a picture as PNG or JPEG (quality 90), by its suffix; whole or not at all.

    Args:
        path: Where to.
        pixels: (height, width, 3) uint8.
        overwrite: Whether a file that is there already is replaced.

    Raises:
        OutputError: If nothing can be written there, or the pixels are not such a picture.
    """
    path = Path(path).absolute()
    check_destination(path, tuple(PICTURE_FORMATS), overwrite)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise OutputError(
            f"{path} needs pixels (height, width, 3) of uint8, got {pixels.shape} of {pixels.dtype}"
        )
    encoded = _encode(path, pixels)
    with partial_file(path) as partial:
        try:
            partial.write_bytes(encoded)
        except OSError as error:
            raise write_error(path, error.strerror or str(error)) from error
        publish(partial, path, overwrite)


def _encode(path: Path, pixels: NDArray[np.uint8]) -> bytes:
    file = BytesIO()
    try:
        picture = Image.fromarray(np.ascontiguousarray(pixels))
        picture.save(file, PICTURE_FORMATS[path.suffix.lower()], quality=JPEG_QUALITY)
    except (OSError, ValueError) as error:  # Such as a JPEG of over 65,500 pixels a side.
        raise OutputError(f"{path} cannot be encoded: {error}") from error
    return file.getvalue()
