"""An image as a report shows it: whole in small, and where it has most errors as it is."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from glnet.data import IGNORE_INDEX, DatasetDescription, LabelledSample, LabelRaster
from glnet.evaluation.comparison import Picture, colored
from glnet.evaluation.memory import evaluation_bytes
from glnet.evaluation.opening import opened
from glnet.geometry import Size, Window, strips
from glnet.inference.machine import explained_memory
from glnet.inference.overlay import LabelPicture
from glnet.inference.predictor import Predictor
from glnet.inference.sampling import fitted
from glnet.inference.streaming import Answer, Prediction, answers_of
from glnet.raster import thumbnail, to_display

Labels = NDArray[np.uint8]
Color = tuple[int, int, int]

HIT: Color = (0, 170, 70)
FALSE: Color = (225, 30, 30)
MISSED: Color = (40, 90, 255)
IGNORED: Color = (128, 128, 128)
DIMMED = 0.35
"""The brightness of what is right and needs no look: darker than `IGNORED` anywhere."""
RIGHT: Color = (60, 60, 60)
"""What that looks like, in a legend."""


class Panels(NamedTuple):
    """One window of an image, its truth and its answer, all of one size."""

    picture: Picture  # (h, w, 3)
    truth: Labels  # (h, w)
    answer: Labels  # (h, w)


class Look(NamedTuple):
    """An image whole in small and, where that is not all of it, the window of most errors.

    Attributes:
        size: Of the image.
        whole: The image in small.
        window: Where most errors are.
        zoom: That window, pixel by pixel; None where ``whole`` is not shrunk.
    """

    size: Size
    whole: Panels
    window: Window
    zoom: Panels | None


class ErrorCells:
    """Counts wrong pixels in cells, to find the window that has most of them.

    Holds a number per cell, and nothing of the strips it was shown.

    Args:
        raster: Size of the image.
        side: Of a cell, in pixels.
    """

    def __init__(self, raster: Size, side: int) -> None:
        self._raster = raster
        self._side = side
        self._counts = np.zeros((-(-raster.height // side), -(-raster.width // side)), np.int64)

    def add(self, strip: Window, is_wrong: NDArray[np.bool_]) -> None:
        """Count the wrong pixels (rows, width) of a full-width strip."""
        cells = np.arange(0, self._raster.width, self._side)
        # int32 holds a cell's row; np.add.at puts rows of one cell together.
        by_row = np.add.reduceat(is_wrong, cells, axis=1, dtype=np.int32)
        rows = np.arange(strip.row, strip.row_stop) // self._side
        np.add.at(self._counts, rows, by_row)

    def worst(self) -> Window:
        """The cell of most errors, moved into the image where it hangs over its edge."""
        row, column = np.unravel_index(int(self._counts.argmax()), self._counts.shape)
        height = min(self._side, self._raster.height)
        width = min(self._side, self._raster.width)
        return Window(
            min(int(row) * self._side, self._raster.height - height),
            min(int(column) * self._side, self._raster.width - width),
            Size(height, width),
        )


def look_at(
    predictor: Predictor,
    sample: LabelledSample,
    description: DatasetDescription,
    side: int,
) -> Look:
    """Predict an image once more, and keep what can be looked at.

    Args:
        predictor: Whose own answer is shown.
        sample: The image and its mask.
        description: How masks show classes.
        side: Of the small picture and of the window, at most.

    Raises:
        ConfigurationError: If there is not enough memory.
        DatasetError, InputMismatchError, RasterError: If a file cannot be read or does not fit.
    """
    own = answers_of(predictor.model)[-1:]
    with opened(sample, description) as (raster, labels):
        settings, formed = predictor.fitted(raster, evaluation_bytes(labels))
        with (
            explained_memory(raster.name, settings),
            predictor.predict(raster, settings, formed, own) as prediction,
        ):
            device = torch.device(settings.device)
            size = fitted(raster.size, side)
            truth, answer, window = _collected(prediction, own[0], labels, device, side)
            whole = Panels(to_display(thumbnail(raster, size)), truth, answer)
            zoom = None
            if size != raster.size:
                # Shown as the whole is: bands that are no bytes are stretched by the window's own.
                shown = to_display(raster.read(window))
                answered = prediction.labels(own[0], window, device)
                zoom = Panels(shown, labels.read(window), answered)
            return Look(raster.size, whole, window, zoom)


def _collected(
    prediction: Prediction, own: Answer, labels: LabelRaster, device: torch.device, side: int
) -> tuple[Labels, Labels, Window]:
    """Small pictures of truth and answer, and the window of most errors, in one pass."""
    size = prediction.size
    truth, answer = LabelPicture(size, side), LabelPicture(size, side)
    cells = ErrorCells(size, side)
    for strip in strips(size, prediction.strip_height()):
        true = labels.read(strip)
        answered = prediction.labels(own, strip, device)
        truth.add(strip, true)
        answer.add(strip, answered)
        cells.add(strip, (true != answered) & (true != IGNORE_INDEX))
    return truth.labels, answer.labels, cells.worst()


def error_map(panels: Panels, colors: Sequence[Color]) -> Picture:
    """Where the answer is wrong, and how: (h, w, 3).

    What is right is the picture, grey and dimmed. Of two classes, the second is green where it was
    found, red where it was answered and is not, blue where it was missed; of more, what is wrong
    has the colour of the class that was answered. Ignored pixels are grey.
    """
    grey = panels.picture.mean(axis=2, keepdims=True) * DIMMED
    picture: Picture = np.repeat(np.rint(grey).astype(np.uint8), 3, axis=2)
    is_wrong = panels.truth != panels.answer
    if len(colors) == 2:
        picture[(panels.truth == 1) & ~is_wrong] = HIT
        picture[(panels.answer == 1) & is_wrong] = FALSE
        picture[(panels.answer == 0) & is_wrong] = MISSED
    else:
        picture[is_wrong] = colored(panels.answer, colors)[is_wrong]
    picture[panels.truth == IGNORE_INDEX] = IGNORED
    return picture


def legend(
    panels: Sequence[Panels], names: Sequence[str], colors: Sequence[Color]
) -> list[tuple[Color, str]]:
    """What the colours of the panels and of their error maps mean; only of classes in them."""
    shown = sorted(
        {int(of) for p in panels for maps in (p.truth, p.answer) for of in np.unique(maps)}
    )
    entries = [(colors[k], names[k]) for k in shown if k < len(names)]
    if len(colors) == 2:
        entries += [
            (HIT, f"{names[1]}, found"),
            (FALSE, f"{names[1]}, answered but not true"),
            (MISSED, f"{names[1]}, missed"),
        ]
    entries.append((RIGHT, "no error"))
    if IGNORE_INDEX in shown:
        entries.append((IGNORED, "ignored"))
    return entries
