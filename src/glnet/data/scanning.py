"""Everything that is to be known of an image and its mask, read strip by strip."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glnet.data.classes import IGNORE_INDEX
from glnet.data.description import DatasetDescription
from glnet.data.faults import Fault, FaultKind
from glnet.data.masks import LabelRaster, kept_palette
from glnet.data.sample import Sample
from glnet.errors import DatasetError, RasterError
from glnet.geometry import Size, strips
from glnet.raster import RasterFile, open_raster

STRIP_PIXELS = 4_000_000
"""About as many pixels are held at once."""

Counts = NDArray[np.int64]
"""Pixels of every label, 0 to 255."""


class Picture(NamedTuple):
    """What an image's file says of it."""

    size: Size
    stored_size: Size
    bands: int
    dtype: str
    is_turned: bool


class Scan(NamedTuple):
    """An image and its mask, looked at."""

    sample: Sample
    picture: Picture | None
    """None where the image cannot be read."""
    counts: Counts | None
    """None where there is no mask, or it cannot be used."""
    is_mask_turned: bool
    faults: tuple[Fault, ...]


def scan(sample: Sample, description: DatasetDescription) -> Scan:
    """Read an image and its mask once; what is wrong is noted, not raised."""
    faults: list[Fault] = []
    picture = _scan_image(sample, faults)
    if sample.mask is None:
        return Scan(sample, picture, None, False, tuple(faults))
    counts, is_turned = _scan_mask(sample, picture, description, faults)
    return Scan(sample, picture, counts, is_turned, tuple(faults))


def rows_of(size: Size) -> int:
    """How many rows are read at once."""
    return max(1, STRIP_PIXELS // size.width)


def _scan_image(sample: Sample, faults: list[Fault]) -> Picture | None:
    try:
        with open_raster(sample.image) as raster:
            for strip in strips(raster.size, rows_of(raster.size)):
                raster.read(strip)
            return _picture(raster)
    except RasterError as error:
        faults.append(Fault("unreadable", str(error), (str(sample.image),)))
        return None


def _scan_mask(
    sample: Sample, picture: Picture | None, description: DatasetDescription, faults: list[Fault]
) -> tuple[Counts | None, bool]:
    """Pixels of every label, if the mask can be used, and whether it is turned."""
    assert sample.mask is not None
    mask = str(sample.mask)
    before, kind, is_turned = len(faults), _ENCODING, False
    counts = np.zeros(IGNORE_INDEX + 1, np.int64)
    try:
        with open_raster(sample.mask, kept_palette(description)) as raster:
            is_turned = raster.is_turned
            if picture is not None and raster.size != picture.size:
                faults.append(Fault("size", _mismatch(raster, sample, picture), (mask,)))
            labels = LabelRaster(raster, description)
            kind = _VALUE
            for strip in strips(labels.size, rows_of(labels.size)):
                counts += np.bincount(labels.read(strip).ravel(), minlength=len(counts))
    except RasterError as error:
        faults.append(Fault("unreadable", str(error), (mask,)))
    except DatasetError as error:
        faults.append(Fault(kind, str(error), (mask,)))
    return (counts if len(faults) == before else None), is_turned


_ENCODING: FaultKind = "encoding"
_VALUE: FaultKind = "value"


def _picture(raster: RasterFile) -> Picture:
    return Picture(
        raster.size, raster.stored_size, raster.bands, str(raster.dtype), raster.is_turned
    )


def _mismatch(mask: RasterFile, sample: Sample, picture: Picture) -> str:
    text = (
        f"{mask.name}: expected the mask to be as large as its image"
        f" ({picture.size}, {sample.image}), got {mask.size}"
    )
    if mask.size == picture.stored_size:
        return (
            f"{text}; it fits the image as it is stored, before its EXIF orientation turns it:"
            " turn the mask likewise, or take the tag out of the image"
        )
    if mask.stored_size == picture.size:
        return f"{text}; it fits as it is stored: take the EXIF orientation out of the mask"
    if mask.size == Size(picture.size.width, picture.size.height):
        return f"{text}; its sides are swapped: turn it by a quarter"
    return text
