"""Portions of speckled images for the tests of the steps, and what prediction makes of the same.

Speckled images are squares of chance in three bands; their masks are squares of the tiny model's
three classes, and of pixels that do not count.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from glnet.data import IGNORE_INDEX, DatasetDescription, IndexEncoding, Sample
from glnet.geometry import Size, Window
from glnet.inference.blending import Weights
from glnet.inference.scratch import Scratch
from glnet.inference.stitching import Stitcher
from glnet.inference.streaming import Answer, Settings, predict
from glnet.model.checkpoint import Model
from glnet.model.config import Framing
from glnet.model.glnet import GLNet
from glnet.raster import open_raster
from glnet.training.config import LossConfig, RunConfig, StageConfig
from glnet.training.feeding import Feed
from glnet.training.images import LabelledImage, PixelCache
from glnet.training.plan import Part, Plan
from glnet.training.portions import Portion, Portions
from glnet.training.stages import Feeds, StageModule
from glnet.training.steps import (
    Backward,
    ContextStep,
    LocalStep,
    Losses,
    Objective,
    RefinedStep,
    Seen,
    Step,
)
from glnet.training.tasks import Choice, image_by_image, thumbnails_at_once
from tests.model.tiny import CLASSES
from tests.training.tiny_run import FRAMING

CPU = torch.device("cpu")
SIZE = Size(136, 120)
SQUARE = 8
DESCRIPTION = DatasetDescription(CLASSES, IndexEncoding(ignore=IGNORE_INDEX))
OBJECTIVE = Objective(loss=LossConfig(gamma=2.0))
STAGE = StageConfig(epochs=2, learning_rate=0.5)
MERGED_AT_ONCE = 4
ALONE = Part()

STEPS: dict[str, Callable[[GLNet, Objective], Step]] = {
    "context": ContextStep,
    "local": lambda network, objective: LocalStep(network, "exact", objective),
    "refined": lambda network, objective: RefinedStep(network, "exact", objective),
}


def write_speckled(folder: Path, number: int = 1, size: Size = SIZE) -> list[Sample]:
    """Images and their masks, every one another, with all classes and pixels that do not count."""
    return [_write(folder, f"speckled_{k}", size, k) for k in range(number)]


def _write(folder: Path, stem: str, size: Size, seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    squares = (-(-size.height // SQUARE), -(-size.width // SQUARE))
    pixels = rng.integers(0, 256, (*squares, 3), np.uint8)
    values = np.array([0, 1, 2, IGNORE_INDEX], np.uint8)
    labels = rng.choice(values, squares, p=(0.5, 0.2, 0.1, 0.2))
    sample = Sample(stem, folder / f"{stem}.png", folder / f"{stem}_mask.png")
    for squared, path in ((pixels, sample.image), (labels, folder / f"{stem}_mask.png")):
        whole = squared.repeat(SQUARE, axis=0).repeat(SQUARE, axis=1)
        Image.fromarray(whole[: size.height, : size.width]).save(path)
    return sample


class Source(NamedTuple):
    """What portions are read from."""

    model: Model
    samples: Sequence[Sample]
    framing: Framing = FRAMING


def feed(name: str, source: Source, choice: Choice, part: Part = ALONE) -> Feed:
    """The feed of a stage, whose only step of an epoch sees all images."""
    cache = PixelCache(2**30)
    normalization = source.model.config.normalization
    images = [
        LabelledImage(sample, DESCRIPTION, source.framing, normalization, cache)
        for sample in source.samples
    ]
    sizes = []
    for sample in source.samples:
        with open_raster(sample.image) as raster:
            sizes.append(raster.size)
    plan = Plan(
        sizes,
        source.framing,
        choice,
        len(images),
        thumbnails_at_once if name == "context" else image_by_image,
        "a seed",
        foreground=lambda number, _: images[number].foreground(),
    )
    plan.part = part
    portions = Portions(images, has_thumbnails=source.model.network.context is not None)
    return Feed(plan, portions, workers=0)


def portions_of(
    name: str,
    source: Source,
    choice: Choice,
    part: Part = ALONE,
    epoch: int = 0,
) -> list[Portion]:
    """All portions of one step of a stage."""
    return list(feed(name, source, choice, part).step(epoch, 0, CPU))


def chosen(name: str, patches: int = 0, micro_batch: int = 6) -> Choice:
    """As the stage of that name would choose."""
    merged = MERGED_AT_ONCE if name == "refined" else 0
    return Choice(patches=patches, micro_batch=micro_batch, merged=merged)


class PlainBackward:
    """Differentiates, and nothing else."""

    scale = 1.0

    def __call__(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]


class Outcome(NamedTuple):
    """What all portions of a step came to."""

    losses: Losses
    seen: list[Seen]

    @property
    def logits(self) -> Tensor:
        """Of all answers (N, K, h, w)."""
        return torch.cat([of.logits for of in self.seen if of.logits is not None])

    @property
    def labels(self) -> Tensor:
        """Of the same."""
        return torch.cat([of.labels for of in self.seen if of.labels is not None])


def see_all(step: Step, portions: Sequence[Portion], backward: Backward | None = None) -> Outcome:
    """Run a step's portions, one after another."""
    seen = [step.see(portion, backward) for portion in portions]
    losses = {name: torch.zeros(()) for name in step.names}
    for of in seen:
        losses = {name: total + of.losses.get(name, 0.0) for name, total in losses.items()}
    return Outcome(losses, seen)


def answers(step: Step, portions: Sequence[Portion]) -> Tensor:
    """The logits of all portions, without a graph."""
    with torch.no_grad():
        return see_all(step, portions).logits


def module_for(
    name: str, model: Model, run: RunConfig | None = None, feeds: Feeds | None = None
) -> StageModule:
    """A stage's module; without feeds it can only hold what it trains."""
    step = STEPS[name](model.network, OBJECTIVE)
    return StageModule(step, STAGE, run or RunConfig(), feeds or cast(Feeds, None))


def gradients(step: Step) -> dict[str, Tensor]:
    """Of all parameters that have one, by name."""
    named = step.network.named_parameters()
    return {name: of.grad.clone() for name, of in named if of.grad is not None}


def stitched(logits: Tensor, portion: Portion) -> Tensor:
    """Patch logits summed over the whole image, as prediction does."""
    grid = portion.task.look.grid
    with Scratch.alone(len(grid), logits.shape[1:]) as scratch:
        scratch.write(range(len(logits)), logits)
        stitcher = Stitcher(grid, "exact", Weights(grid, "feathered"))
        return stitcher.stitch(scratch, Window(0, 0, grid.raster), CPU)


def stretched(logits: Tensor, size: Size = SIZE) -> Tensor:
    """The logits (K, h, w) of a thumbnail in the size of its image."""
    return torch.nn.functional.interpolate(
        logits[None], (size.height, size.width), mode="bilinear"
    )[0]


def predicted(model: Model, sample: Sample, answer: Answer) -> Tensor:
    """What prediction answers for a whole image."""
    with (
        open_raster(sample.image) as raster,
        predict(model, raster, Settings(), (answer,)) as prediction,
    ):
        return prediction.scores(answer, Window(0, 0, raster.size), CPU).clone()


def assert_near(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
