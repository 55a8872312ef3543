"""The paper's Figure 3 for any image: picture, truth and the three answers side by side."""

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from glnet.data import LabelRaster
from glnet.errors import InputMismatchError
from glnet.evaluation.tables import TITLES
from glnet.geometry import Size
from glnet.inference.sampling import fitted, sampled
from glnet.inference.streaming import Answer, Settings, answers_of, predict
from glnet.model.checkpoint import Model
from glnet.raster import Raster, thumbnail, to_display

Picture = NDArray[np.uint8]

CAPTION_HEIGHT = 26
MARGIN = 6
PAPER = (255, 255, 255)


class Column(NamedTuple):
    """One answer of one model, and what to call it."""

    title: str
    model: Model
    answer: Answer


def columns_of(model: Model) -> list[Column]:
    """All answers that a model gives."""
    return [Column(TITLES[answer], model, answer) for answer in answers_of(model)]


def compare(
    columns: Sequence[Column],
    raster: Raster,
    truth: LabelRaster | None,
    settings: Settings,
    side: int = 480,
) -> Picture:
    """Predict a raster and lay answers beside the picture and, if known, the truth.

    Args:
        columns: Whose answers, at least one; the same classes in all.
        raster: What is segmented.
        truth: Its labels.
        settings: How the prediction runs.
        side: Pixels of a panel's longer side at most.

    Returns:
        (height, width, 3).

    Raises:
        InputMismatchError: If the raster has another number of bands than a model takes, or
            another size than the truth.
        RasterError: If pixels cannot be read.
    """
    if truth is not None and truth.size != raster.size:
        raise InputMismatchError(
            f"{raster.name} is {raster.size}, its truth {truth.name} is {truth.size}"
        )
    size = fitted(raster.size, side)
    colors = [info.color for info in columns[0].model.config.classes]
    panels = [("image", to_display(thumbnail(raster, size)))]
    if truth is not None:
        panels.append(("truth", colored(sampled(truth.read, raster.size, size), colors)))
    for _, same in groupby(columns, key=lambda column: id(column.model)):
        group = list(same)
        labels = _answers(group, raster, size, settings)
        panels += [
            (column.title, colored(of, colors)) for column, of in zip(group, labels, strict=True)
        ]
    return side_by_side(panels)


def _answers(
    columns: Sequence[Column], raster: Raster, size: Size, settings: Settings
) -> list[NDArray[np.uint8]]:
    """Small label pictures of answers that one model gives."""
    wanted = tuple(column.answer for column in columns)
    with predict(columns[0].model, raster, settings, wanted) as prediction:
        device = torch.device(settings.device)
        return [
            sampled(partial(prediction.labels, answer, device=device), raster.size, size)
            for answer in wanted
        ]


def colored(
    labels: NDArray[np.uint8],
    colors: Sequence[tuple[int, int, int]],
    without: tuple[int, int, int] = PAPER,
) -> Picture:
    """Labels (h, w) as a picture (h, w, 3); what has no class is white, or of a given colour."""
    table = np.full((256, 3), without, dtype=np.uint8)
    table[: len(colors)] = colors
    picture: Picture = table[labels]
    return picture


def side_by_side(panels: Sequence[tuple[str, Picture]]) -> Picture:
    """Pictures of equal size in a row, each under its title: (height, width, 3)."""
    height, width = panels[0][1].shape[:2]
    sheet = Image.new(
        "RGB",
        ((width + MARGIN) * len(panels) + MARGIN, height + CAPTION_HEIGHT + MARGIN),
        PAPER,
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=16)
    for number, (title, picture) in enumerate(panels):
        left = MARGIN + number * (width + MARGIN)
        draw.text((left + width / 2, CAPTION_HEIGHT / 2), title, "black", font, anchor="mm")
        sheet.paste(Image.fromarray(picture), (left, CAPTION_HEIGHT))
    return np.asarray(sheet)
