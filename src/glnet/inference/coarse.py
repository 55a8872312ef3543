"""The first look of coarse-to-fine segmentation: the coarse branch on the whole raster."""

from collections.abc import Callable
from dataclasses import dataclass

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


def coarse_answer(
    form: Form,
    model: Model,
    raster: Raster,
    settings: Settings,
    remember: Remember = made_now,
) -> CoarseAnswer:
    """Run the coarse branch, and draw boxes around what it takes for foreground.

    Args:
        form: Of `coarse_of` the model.
        model: Coarse-to-fine.
        raster: Any size.
        settings: Resolved; the coarse branch sees the raster as it lies, in one thumbnail.
        remember: Where the thumbnail is kept, so that a run that goes on need not read it again.

    Raises:
        RasterError: If pixels cannot be read.
    """
    rule, framing = model.config.coarse_to_fine, model.config.framing
    assert rule is not None
    seen = framed(raster, model)

    def read() -> NDArray[np.float32]:
        found = read_thumbnail(seen, framing)
        pixels = normalized(found.pixels, model.config.normalization, found.valid).numpy()
        valid = np.ones(pixels.shape[1:], bool) if found.valid is None else found.valid
        planes: NDArray[np.float32] = np.concatenate([pixels, valid[None]], dtype=np.float32)
        return planes

    planes = torch.from_numpy(remember(read))
    with torch.inference_mode():
        thumbnail = planes[None, :-1].to(settings.device, dtype_of(settings))
        logits = form.see_whole(thumbnail, [Answer.GLOBAL]).logits
    assert logits is not None
    foreground = foreground_of(logits, framing.thumbnail)[0] & (planes[-1].numpy() > 0)
    boxes = [
        inside
        for box in boxes_of(foreground, seen.size, rule, least_box(model.config))
        if (inside := box.shared(Window(0, 0, raster.size))) is not None
    ]
    return CoarseAnswer(tuple(boxes), logits[0].float().cpu())


def foreground_of(logits: Tensor, size: Size) -> Mask:
    """What is no background in logits (N, K, h, w) of thumbnails of a size: (N, rows, columns)."""
    sides = (size.height, size.width)
    enlarged = functional.interpolate(logits.float(), sides, mode="bilinear")
    found: Mask = (enlarged.argmax(dim=1) > 0).cpu().numpy()
    return found


def least_box(config: ModelConfig) -> Size:
    """The sides that a box has at least: a patch's, in raster pixels."""
    side = config.framing.patch_size * config.framing.reduction
    return Size(side, side)
