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
    try:
        encoded = _encoded(pixels, PICTURE_FORMATS[path.suffix.lower()])
    except (OSError, ValueError) as error:  # Such as a JPEG of over 65,500 pixels a side.
        raise OutputError(f"{path} cannot be encoded: {error}") from error
    with partial_file(path) as partial:
        try:
            partial.write_bytes(encoded)
        except OSError as error:
            raise write_error(path, error.strerror or str(error)) from error
        publish(partial, path, overwrite)


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """A picture (height, width, 3) uint8 as a PNG file's bytes, for a page."""
    return _encoded(pixels, "PNG")


def _encoded(pixels: NDArray[np.uint8], kind: str) -> bytes:
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, kind, quality=JPEG_QUALITY)
    return file.getvalue()
