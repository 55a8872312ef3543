"""From the pixels of a mask to class indices: arithmetic only, no files."""

from typing import Any, NamedTuple, assert_never

import numpy as np
from numpy.typing import NDArray

from glnet.data.classes import IGNORE_INDEX, ClassInfo
from glnet.data.colors import Color, as_hex
from glnet.data.description import DatasetDescription
from glnet.data.encodings import IndexEncoding, PaletteEncoding, ThresholdEncoding
from glnet.data.listing import listing
from glnet.errors import DatasetError

Labels = NDArray[np.uint8]
"""Class indices, `IGNORE_INDEX` where a pixel does not count: (height, width)."""


class Place(NamedTuple):
    """Where the pixels to decode come from, for messages: a name and the first row and column."""

    name: str = "mask"
    row: int = 0
    column: int = 0

    def pixel(self, flat: int, width: int) -> str:
        """A pixel of the decoded window, by its position in it, in coordinates of the mask."""
        row, column = divmod(flat, width)
        return f"first at pixel (row {self.row + row}, column {self.column + column})"


SOMEWHERE = Place()
"""For pixels that come from no file."""


def check_kind(
    bands: int, dtype: np.dtype[Any], description: DatasetDescription, name: str = "mask"
) -> None:
    """Refuse pixels that the encoding cannot mean.

    Raises:
        DatasetError: Telling which encoding would read them.
    """
    match description.encoding:
        case IndexEncoding():
            if bands != 1:
                raise DatasetError(
                    f"{name}: encoding index needs 1 band, got {bands};"
                    " use encoding: palette for colours, threshold for black and white"
                )
            if dtype.kind not in "ui":
                raise DatasetError(f"{name}: encoding index needs whole numbers, got {dtype}")
        case PaletteEncoding():
            if bands != 3 or dtype != np.uint8:
                raise DatasetError(
                    f"{name}: encoding palette needs 3 bands of uint8, got {bands} of {dtype};"
                    " use encoding: index for class indices, threshold for grey"
                )
        case ThresholdEncoding():
            if bands not in {1, 3}:
                raise DatasetError(f"{name}: encoding threshold needs 1 or 3 bands, got {bands}")
        case unknown:
            assert_never(unknown)


def decode(
    pixels: NDArray[Any], description: DatasetDescription, place: Place = SOMEWHERE
) -> Labels:
    """The labels that a mask's pixels stand for.

    Args:
        pixels: (bands, height, width), of a kind that `check_kind` accepts.
        description: The classes and their encoding.
        place: Where the pixels come from, for messages.

    Returns:
        (height, width), class indices or `IGNORE_INDEX`.

    Raises:
        DatasetError: If a pixel stands for no class, naming the first one.
    """
    match description.encoding:
        case IndexEncoding() as encoding:
            return _decode_index(pixels[0], encoding, description.classes, place)
        case PaletteEncoding() as encoding:
            return _decode_palette(pixels, encoding, description.classes, place)
        case ThresholdEncoding() as encoding:
            return _decode_threshold(pixels, encoding, place)
        case unknown:
            assert_never(unknown)


def _decode_index(
    values: NDArray[Any], encoding: IndexEncoding, classes: tuple[ClassInfo, ...], place: Place
) -> Labels:
    known = encoding.values_of(len(classes))
    ignore = () if encoding.ignore is None else (encoding.ignore,)
    labels, strange = _look_up(values, (*known, *ignore), len(classes))
    if strange is not None:
        names = (f"{value} {info.name}" for value, info in zip(known, classes, strict=True))
        raise DatasetError(
            f"{place.name}: class value {values.flat[strange]} out of range,"
            f" {place.pixel(strange, values.shape[1])}; known are {listing(names)};"
            " describe that class, or set mask.ignore to the value,"
            " or use encoding: threshold for black and white"
        )
    return labels


def _decode_palette(
    pixels: NDArray[np.uint8],
    encoding: PaletteEncoding,
    classes: tuple[ClassInfo, ...],
    place: Place,
) -> Labels:
    if encoding.binarize is not None:
        pixels = np.where(pixels >= encoding.binarize, np.uint8(255), np.uint8(0))
    red, green, blue = pixels.astype(np.uint32)
    colors = [info.color for info in classes]
    ignore = [] if encoding.ignore is None else [encoding.ignore]
    codes = tuple(_code(color) for color in [*colors, *ignore])
    labels, strange = _look_up(red << 16 | green << 8 | blue, codes, len(classes))
    if strange is not None:
        raise _unknown_color(pixels, strange, encoding, classes, place)
    return labels


def _unknown_color(
    pixels: NDArray[np.uint8],
    flat: int,
    encoding: PaletteEncoding,
    classes: tuple[ClassInfo, ...],
    place: Place,
) -> DatasetError:
    red, green, blue = (int(band.flat[flat]) for band in pixels)
    names = (f"{as_hex(info.color)} {info.name}" for info in classes)
    hint = (
        "set mask.binarize: 128 if the file was compressed or smoothed,"
        if encoding.binarize is None
        else "after mask.binarize:"
    )
    return DatasetError(
        f"{place.name}: no class has the colour {as_hex((red, green, blue))}"
        f" [{red}, {green}, {blue}], {place.pixel(flat, pixels.shape[2])};"
        f" known are {listing(names)}; {hint} describe that class, or set mask.ignore to the colour"
    )


def _decode_threshold(pixels: NDArray[Any], encoding: ThresholdEncoding, place: Place) -> Labels:
    for band in pixels[1:]:
        if not np.array_equal(band, pixels[0]):
            flat = int(np.argmax(band != pixels[0]))
            raise DatasetError(
                f"{place.name}: encoding threshold needs grey, but the bands differ,"
                f" {place.pixel(flat, pixels.shape[2])}; use encoding: palette for colours"
            )
    return np.asarray(pixels[0] > encoding.threshold).astype(np.uint8)


def _look_up(
    values: NDArray[Any], known: tuple[int, ...], num_classes: int
) -> tuple[Labels, int | None]:
    """Replace every value by its place among the known, those past the classes by ignore.

    Returns:
        The labels, and the flat position of the first unknown value, None where there is none.
    """
    order = np.argsort(np.array(known, np.int64))
    ordered = np.array(known, np.int64)[order]
    nearest = np.clip(np.searchsorted(ordered, values), 0, len(known) - 1)
    strange = ordered[nearest] != values
    if strange.any():
        return np.empty((0, 0), np.uint8), int(np.argmax(strange))
    meaning = np.where(order < num_classes, order, IGNORE_INDEX).astype(np.uint8)
    return meaning[nearest], None


def _code(color: Color) -> int:
    red, green, blue = color
    return red << 16 | green << 8 | blue
