"""Looks at a drawn scene for the tests of the steps, and what prediction makes of it."""

from collections.abc import Callable

import torch
from glnet.training.samples import Choice, LabelledImage, Look, PatchSamples, PixelCache, Thumbnail
from torch import Tensor

from glnet.data import SegmentationFolder
from glnet.geometry import Window
from glnet.inference.scratch import Scratch
from glnet.inference.stitching import stitch
from glnet.inference.streaming import Answer, Settings, predict
from glnet.model.checkpoint import Model
from glnet.model.glnet import GLNet
from glnet.training.config import LossConfig
from glnet.training.steps import (
    ContextStep,
    LocalStep,
    RefinedStep,
    Step,
)
from tests.training.tiny_run import FRAMING

CPU = torch.device("cpu")
LOSS = LossConfig(gamma=2.0)

STEPS: dict[str, Callable[[GLNet], Step]] = {
    "context": lambda network: ContextStep(network, LOSS),
    "local": lambda network: LocalStep(network, "exact", LOSS),
    "refined": lambda network: RefinedStep(network, "exact", LOSS, 3),
}


def image(model: Model, scenes: SegmentationFolder) -> LabelledImage:
    sample = scenes.split("train")[0]
    # The labels of a scene go beyond the tiny model's three classes; here they need not be right.
    return LabelledImage(
        sample, scenes.description, FRAMING, model.config.normalization, PixelCache(2**30)
    )


def look_at(model: Model, scenes: SegmentationFolder, choice: Choice | None = None) -> Look:
    """A look whose labels are classes that the tiny model knows."""
    look = PatchSamples([image(model, scenes)], choice or Choice(), 0)[0]
    return look._replace(
        thumbnail=look.thumbnail._replace(labels=look.thumbnail.labels % 3),
        patches=look.patches._replace(labels=look.patches.labels % 3),
    )


def part_for(name: str, look: Look) -> Look | Thumbnail:
    if name == "context":
        return look.thumbnail._replace(
            pixels=look.thumbnail.pixels[None], labels=look.thumbnail.labels[None]
        )
    return look


def stitched(logits: Tensor, look: Look) -> Tensor:
    """Patch logits summed over the whole image, as prediction does."""
    grid = look.patches.grid
    with Scratch(len(grid), logits.shape[1:]) as scratch:
        for patch, of in enumerate(logits):
            scratch.write(patch, of)
        return stitch(scratch, grid, Window(0, 0, grid.raster), "exact", CPU)


def descend(step: Step, part: Look | Thumbnail) -> None:
    total = sum(step.losses(part).values(), torch.zeros(()))
    total.backward()  # type: ignore[no-untyped-call]


def assert_near(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def stretched(logits: Tensor, look: Look) -> Tensor:
    size = look.patches.grid.raster
    return torch.nn.functional.interpolate(
        logits[None], (size.height, size.width), mode="bilinear"
    )[0]


def predicted(model: Model, scenes: SegmentationFolder, answer: Answer) -> Tensor:
    with (
        scenes.split("train")[0].open_image() as raster,
        predict(model, raster, Settings(), (answer,)) as prediction,
    ):
        return prediction.scores(answer, Window(0, 0, raster.size), CPU).clone()
