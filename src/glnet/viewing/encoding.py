"""Arrays as pictures that a browser shows."""

from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]

QUALITY = 90
"""Of JPEGs, for pictures that are smaller than they were; colours are kept at full resolution."""

FASTEST = 1
"""zlib's level: the way is short."""

NOTHING = 255
"""The value that is never shown, of labels and of everything else that has a table of colours."""


class Encoded(NamedTuple):
    """A picture's bytes and what they are."""

    data: bytes
    kind: str


def picture(pixels: Bytes, valid: NDArray[np.bool_] | None, *, exact: bool) -> Encoded:
    """A picture, transparent where there is no measurement.

    Args:
        pixels: (height, width, 3).
        valid: (height, width).
        exact: Whether every pixel shall be what it is.
    """
    if valid is None and not exact:
        return _saved(Image.fromarray(pixels), "JPEG", quality=QUALITY, subsampling=0)
    if valid is not None:
        alpha = valid.astype(np.uint8) * 255
        pixels = np.dstack([pixels, alpha])
    return _saved(Image.fromarray(pixels), "PNG", compress_level=FASTEST)


def tinted(values: Bytes, colors: Bytes, alphas: Bytes) -> Encoded:
    """Values as colours.

    Args:
        values: (height, width).
        colors: (256, 3), of every value.
        alphas: (256,): 0 for values that are not shown.
    """
    image = Image.fromarray(values)
    image.putpalette(colors.tobytes())
    return _saved(image, "PNG", compress_level=FASTEST, transparency=alphas.tobytes())


def blank() -> Encoded:
    """A pixel that is not seen, for where nothing is known yet."""
    return tinted(np.zeros((1, 1), np.uint8), np.zeros((256, 3), np.uint8), np.zeros(256, np.uint8))


def _saved(image: Image.Image, form: str, **options: object) -> Encoded:
    file = BytesIO()
    image.save(file, form, **options)
    return Encoded(file.getvalue(), f"image/{form.lower()}")
