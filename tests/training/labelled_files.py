"""Files in which the label of every pixel can be read off the pixel itself.

Flat squares of four greys; class k is the grey ``LEVELS[k]``. Squares are those of JPEG and lie at
even places, so that neither compression nor averages over 2 x 2 pixels mix two of them.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glnet.data import ClassInfo, DatasetDescription, Sample
from glnet.model.config import Framing, Normalization
from glnet.training.images import LabelledImage, PixelCache

LEVELS = (10, 90, 170, 250)
SQUARE = 16
DESCRIPTION = DatasetDescription(
    tuple(ClassInfo(f"grey {level}", (level,) * 3) for level in LEVELS)
)
PLENTY = 2**30

STORED = {
    1: (),
    3: (Image.Transpose.ROTATE_180,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_90,),
    8: (Image.Transpose.ROTATE_270,),
}
"""By EXIF orientation, how the displayed picture becomes the stored one (TIFF 6.0, section 8)."""


def drawn_labels(rows: int = 9, columns: int = 6, seed: int = 0) -> NDArray[np.uint8]:
    """Classes of ``rows`` x ``columns`` squares, pixel by pixel."""
    squares = np.random.default_rng(seed).integers(0, 4, (rows, columns)).astype(np.uint8)
    return squares.repeat(SQUARE, axis=0).repeat(SQUARE, axis=1)


def labels_in(pixels: NDArray[Any]) -> NDArray[np.int64]:
    """The labels of grey pixels."""
    distances = [np.abs(pixels - level) for level in LEVELS]
    labels: NDArray[np.int64] = np.argmin(distances, axis=0)
    return labels


def write_pair(
    folder: Path, stem: str = "a", suffix: str = ".png", orientation: int = 1, seed: int = 0
) -> Sample:
    """An image that displays `drawn_labels` in greys, stored as a turned camera would; its mask."""
    labels = drawn_labels(seed=seed)
    grey = np.array(LEVELS, np.uint8)[labels]
    picture = Image.fromarray(np.stack([grey] * 3, axis=2))
    for turn in STORED[orientation]:
        picture = picture.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    sample = Sample(stem, folder / f"{stem}{suffix}", folder / f"{stem}_mask.png")
    picture.save(sample.image, exif=exif, quality=95)
    Image.fromarray(labels).save(folder / f"{stem}_mask.png")
    return sample


def labelled(
    sample: Sample, framing: Framing | None = None, cache: PixelCache | None = None
) -> LabelledImage:
    """The image with its pixels as they are."""
    return LabelledImage(
        sample,
        DESCRIPTION,
        framing or Framing(patch_size=64, thumbnail_size=64, overlap=16),
        Normalization((0.0,) * 3, (1.0,) * 3),
        cache or PixelCache(PLENTY),
    )
