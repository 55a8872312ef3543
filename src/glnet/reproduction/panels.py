"""Figures 3 and 7 of the paper: picture, truth and what every method says, with two zoom-ins."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from glnet.data import IGNORE_INDEX, ClassInfo
from glnet.errors import ConfigurationError, InputMismatchError
from glnet.evaluation.comparison import Picture, colored
from glnet.evaluation.drawing import Row, enlarged, sheet, text_font
from glnet.evaluation.looking import IGNORED
from glnet.geometry import Size, Window
from glnet.inference.sampling import fitted, sampled
from glnet.raster import Raster, thumbnail, to_display
from glnet.reproduction.windows import Disagreement, LabelMap, find_disagreements

Labels = NDArray[np.uint8]
Color = tuple[int, int, int]

SIDE = 420
"""Of an overview's longer side at most, in pixels; what is smaller is enlarged up to it."""
ZOOM, LEAST_ZOOM = 420, 16
"""The side of a zoom-in's window, in pixels of the image: as wide as an overview, and at least."""
ZOOM_PART = 4
"""By which a zoom-in shows more than the overview of a small image, at least."""
LETTERS = "abcdefgh"
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


class Cutout(NamedTuple):
    """The same pixels of an image, of its truth and of every method's answer.

    Attributes:
        picture: (h, w, 3).
        truth: (h, w).
        answers: (h, w) of each method.
    """

    picture: Picture
    truth: Labels
    answers: tuple[Labels, ...]


class Zoom(NamedTuple):
    """A window of the image at full resolution, and how many of its pixels the methods dispute."""

    place: Disagreement
    cutout: Cutout


class Collected(NamedTuple):
    """All that is drawn of an image.

    Attributes:
        size: Of the image, in pixels.
        overview: All of it, shrunk where it is large.
        zooms: Some windows of it.
    """

    size: Size
    overview: Cutout
    zooms: tuple[Zoom, ...]


def collect(
    raster: Raster,
    truth: LabelMap,
    answers: Sequence[LabelMap],
    *,
    side: int = SIDE,
    zoom: int | None = None,
) -> Collected:
    """Read what Figures 3 and 7 show of an image, strip by strip.

    The zoom-ins are where the answers differ most (`find_disagreements`); the truth has no say.
    Bands that are no bytes are stretched by the values of what is shown.

    Args:
        raster: The image.
        truth: Its labels.
        answers: Of every method, as large as the image; at least two.
        side: Of the overview's longer side, at most.
        zoom: Of the zoom-ins' windows; None: as `zoom_side` has it.

    Raises:
        ConfigurationError: If there are less than two answers.
        InputMismatchError: If truth or answers are of another size than the image.
        DatasetError, RasterError: If something cannot be read.
    """
    for of in (truth, *answers):
        if of.size != raster.size:
            raise InputMismatchError(
                f"{of.name} must be as large as {raster.name}, {raster.size}; it is {of.size}"
            )
    places = find_disagreements(answers, zoom_side(raster.size) if zoom is None else zoom)
    size = fitted(raster.size, side)
    overview = Cutout(
        to_display(thumbnail(raster, size)),
        sampled(truth.read, raster.size, size),
        tuple(sampled(of.read, raster.size, size) for of in answers),
    )
    return Collected(
        raster.size,
        overview,
        tuple(Zoom(place, _cut_out(raster, truth, answers, place.window)) for place in places),
    )


def zoom_side(size: Size) -> int:
    """Of a zoom-in's window, in pixels: `ZOOM`, or a part of an image that is small itself."""
    return min(ZOOM, max(LEAST_ZOOM, min(size.height, size.width) // ZOOM_PART))


def draw_panels(
    collected: Collected,
    methods: Sequence[str],
    classes: Sequence[ClassInfo],
    *,
    title: str = "",
) -> Picture:
    """Draw Figure 3 or 7: a row of overviews, then one of each zoom-in, over a legend.

    Args:
        collected: What of the image.
        methods: The name of every answer.
        classes: Of the dataset, in the order of their index.
        title: Above it.

    Returns:
        (height, width, 3).

    Raises:
        ConfigurationError: If there is not one name for every answer.
    """
    overview = collected.overview
    if len(methods) != len(overview.answers):
        raise ConfigurationError(
            f"expected a name for each of {len(overview.answers)} answers, got {len(methods)}"
        )
    colors = [info.color for info in classes]
    captions = [f"({k}) {name}" for k, name in enumerate(("source", "truth", *methods), start=1)]
    windows = [zoom.place.window for zoom in collected.zooms]
    side = max(SIDE, *map(int, overview.truth.shape))
    shown = [enlarged(of, side) for of in _pictures(overview, colors)]
    whole = [_lettered(of, windows, collected.size) for of in shown]
    note = f"whole image, {_words(collected.size)}"
    if overview.truth.shape != (collected.size.height, collected.size.width):
        note += ", shrunk"
    rows = [Row(note, list(zip(captions, whole, strict=True)))]
    for letter, zoom in zip(LETTERS, collected.zooms, strict=False):
        pictures = [enlarged(of, side) for of in _pictures(zoom.cutout, colors)]
        panels = list(zip(captions, pictures, strict=True))
        rows.append(Row(f"({letter}) {_about(zoom.place)}", panels))
    cutouts = [overview, *(zoom.cutout for zoom in collected.zooms)]
    return sheet(title, rows, _legend(cutouts, classes))


def _cut_out(
    raster: Raster, truth: LabelMap, answers: Sequence[LabelMap], window: Window
) -> Cutout:
    return Cutout(
        to_display(raster.read(window)),
        truth.read(window),
        tuple(of.read(window) for of in answers),
    )


def _pictures(cutout: Cutout, colors: Sequence[Color]) -> list[Picture]:
    answers = [colored(of, colors) for of in cutout.answers]
    return [cutout.picture, colored(cutout.truth, colors, IGNORED), *answers]


def _legend(cutouts: Sequence[Cutout], classes: Sequence[ClassInfo]) -> list[tuple[Color, str]]:
    """The classes that are seen, and ignored pixels where there are some."""
    shown = {
        int(label)
        for of in cutouts
        for labels in (of.truth, *of.answers)
        for label in np.unique(labels)
    }
    legend = [(info.color, info.name) for k, info in enumerate(classes) if k in shown]
    if any((of.truth == IGNORE_INDEX).any() for of in cutouts):
        legend.append((IGNORED, "not labelled"))
    return legend


def _about(place: Disagreement) -> str:
    window = place.window
    return (
        f"{_words(window.size)} from row {window.row}, column {window.column}, at full resolution; "
        f"methods differ in {place.pixels / window.size.area:.0%} of them"
    )


def _words(size: Size) -> str:
    return f"{size} pixels"


def _lettered(picture: Picture, windows: Sequence[Window], raster: Size) -> Picture:
    """A picture of a raster with a frame and a letter at every window, to be seen on any colour."""
    height, width = picture.shape[:2]
    marked = Image.fromarray(picture)
    draw = ImageDraw.Draw(marked)
    for letter, window in zip(LETTERS, windows, strict=False):
        left, top = window.column * width // raster.width, window.row * height // raster.height
        right = max(left, window.column_stop * width // raster.width - 1)
        bottom = max(top, window.row_stop * height // raster.height - 1)
        for inset, color in ((0, BLACK), (1, WHITE), (2, WHITE), (3, BLACK)):
            if right - left > 2 * inset and bottom - top > 2 * inset:
                box = (left + inset, top + inset, right - inset, bottom - inset)
                draw.rectangle(box, outline=color)
        draw.rectangle((left, top, left + 16, top + 18), fill=BLACK)
        draw.text((left + 8, top + 9), letter, WHITE, text_font(15), anchor="mm")
    return np.asarray(marked)
