"""The first look of coarse-to-fine segmentation: the coarse branch on the whole raster."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from glnet.geometry import Size, Window
from glnet.inference.boxes import Mask, boxes_of
from glnet.inference.forming import dtype_of
from glnet.inference.pixels import framed, normalized, read_thumbnail
from glnet.inference.settings import Settings
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model
from glnet.model.config import ModelConfig
from glnet.model.forms import Form
from glnet.raster import Raster

Remember = Callable[[Callable[[], NDArray[np.float32]]], NDArray[np.float32]]
"""Gives an array that is made once per run: made now, or remembered."""


def made_now(make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """Remember nothing."""
    return make()


@dataclass(frozen=True, eq=False)
class CoarseAnswer:
    """What the coarse branch says of a raster.

    Attributes:
        boxes: Where the others look, without overlaps; none where there is no foreground.
        logits: (K, h, w) of the whole raster, float32, on the CPU.
    """

    boxes: tuple[Window, ...]
    logits: Tensor


class CoarseLook(NamedTuple):
    """What the coarse branch says of a raster's thumbnail.

    Attributes:
        logits: (1, K, h, w).
        valid: Which of the thumbnail's pixels have a measurement: (rows, columns).
    """

    logits: Tensor
    valid: Mask


def coarse_look(form: Form, planes: NDArray[np.float32], settings: Settings) -> CoarseLook:
    """Run the coarse branch.

    Args:
        form: Of `coarse_of` the model.
        planes: As `coarse_planes` gives them.
        settings: Resolved; the coarse branch sees the raster as it lies, in one thumbnail.
    """
    with torch.inference_mode():
        pixels = torch.from_numpy(planes[None, :-1])
        logits = form.see_whole(
            pixels.to(settings.device, dtype_of(settings)), [Answer.GLOBAL]
        ).logits
    assert logits is not None
    return CoarseLook(logits, planes[-1] > 0)


def coarse_planes(model: Model, raster: Raster) -> NDArray[np.float32]:
    """The thumbnail, normalised, and a last plane that says where there are measurements.

    Raises:
        RasterError: If pixels cannot be read.
        InputMismatchError: If the raster has another number of bands than the model takes.
    """
    found = read_thumbnail(framed(raster, model), model.config.framing)
    pixels = normalized(found.pixels, model.config.normalization, found.valid).numpy()
    valid = np.ones(pixels.shape[1:], bool) if found.valid is None else found.valid
    planes: NDArray[np.float32] = np.concatenate([pixels, valid[None]], dtype=np.float32)
    return planes


def coarse_answer(look: CoarseLook, model: Model, raster: Raster) -> CoarseAnswer:
    """Draw boxes around what the coarse branch takes for foreground.

    Args:
        look: What it says.
        model: Coarse-to-fine.
        raster: Any size.
    """
    rule, framing = model.config.coarse_to_fine, model.config.framing
    assert rule is not None
    foreground = foreground_of(look.logits, framing.thumbnail, rule.threshold)[0] & look.valid
    boxes = [
        inside
        for box in boxes_of(foreground, framed(raster, model).size, rule, least_box(model.config))
        if (inside := box.shared(Window(0, 0, raster.size))) is not None
    ]
    return CoarseAnswer(tuple(boxes), look.logits[0].float().cpu())


def foreground_of(logits: Tensor, size: Size, threshold: float) -> Mask:
    """What is taken for foreground in thumbnails.

    Args:
        logits: (N, 2, h, w), of background and foreground.
        size: Of the thumbnails.
        threshold: How probable it must be.

    Returns:
        (N, rows, columns).
    """
    sides = (size.height, size.width)
    enlarged = functional.interpolate(logits.float(), sides, mode="bilinear")
    # Softmax of two is a function of the difference; at 0.5, this is the more probable class.
    above = math.log(threshold / (1 - threshold))
    found: Mask = (enlarged[:, 1] - enlarged[:, 0] > above).cpu().numpy()
    return found


def least_box(config: ModelConfig) -> Size:
    """The sides that a box has at least: a patch's, in raster pixels."""
    side = config.framing.patch_size * config.framing.reduction
    return Size(side, side)
