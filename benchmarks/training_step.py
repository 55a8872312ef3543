"""One step of the second stage (`LocalStep`) beside the same step written plainly.

    python -m benchmarks.training_step [--patches 4] [--micro-batch 2] [--rounds 3] [--threads N]

The paper's network (ResNet-50, 500 px, pyramid of 256 and 128 channels) on one drawn image of
2448x2448. Losses and gradients are compared before anything is timed: here in float32, and of a
small network in float64. Weights are fresh: they do not change the cost.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.common import (
    CPU,
    cast,
    configuration,
    descend,
    distance,
    gradients,
    heading,
    interleaved,
    multiply_adds,
    paragraph,
    prepared,
    ratios,
    spread,
    table,
    write_result,
)
from benchmarks.plain_step import PlainLocalStep
from glnet.data import SceneSettings, write_dataset
from glnet.geometry import Size
from glnet.model.config import Architecture, Framing
from glnet.model.glnet import required
from glnet.training.config import StageConfig, TrainingConfig
from glnet.training.portions import Portion
from glnet.training.steps import Step

FULL = Architecture(sharing="global_to_local")
SMALL = replace(FULL, backbone="resnet18", fpn_width=16, refined_width=8)
SINGLE, DOUBLE = 1e-4, 1e-10
"""Allowed differences, in shares of the largest number."""

STEPS = {
    "glnet": "glnet's step",
    "once": "plain, the context once per image, without a graph",
    "every": "plain, the context with every micro-batch, without a graph",
    "graph": "plain, the context with every micro-batch, with its graph",
}
PARTS = {
    "backbone": "the local backbone alone",
    "context": "the context branch alone, once, without a graph",
    "glnet head": "glnet's step, the backbone's maps given",
    "plain head": "the plain step, the backbone's maps given",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=4)
    parser.add_argument("--micro-batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        small = _compare(_small(Path(folder) / "small"), torch.float64)
        config = _config(Path(folder) / "full", options.patches, options.micro_batch)
        stage = prepared(config, "local")
        portions = list(stage.feeds.training.step(0, 0, CPU))
    full = _compare_portions(stage.step, config, portions)
    runs = _runs(stage.step, config, portions)
    counts = {name: multiply_adds(run) for name, run in runs.items()}
    seconds = interleaved(runs, options.rounds)
    write_result("training-step", _report(options, (small, full), counts, seconds))


def _config(data: Path, patches: int, micro_batch: int) -> TrainingConfig:
    write_dataset(data, SceneSettings(Size(2448, 2448)), {"train": 1, "validation": 1})
    stage = StageConfig(
        epochs=1, learning_rate=1e-4, images=1, patches=patches, micro_batch=micro_batch
    )
    return configuration(data, FULL, Framing(), stage)


def _small(data: Path) -> TrainingConfig:
    write_dataset(data, SceneSettings(Size(700, 600)), {"train": 1, "validation": 1})
    framing = Framing(patch_size=190, thumbnail_size=150, overlap=20)
    stage = StageConfig(epochs=1, learning_rate=1e-4, images=1, patches=4, micro_batch=2)
    return configuration(data, SMALL, framing, stage)


# What is compared


def _compare(config: TrainingConfig, dtype: torch.dtype) -> float:
    stage = prepared(config, "local")
    stage.step.network.to(dtype)
    portions = [cast(of, dtype) for of in stage.feeds.training.step(0, 0, CPU)]
    return _compare_portions(stage.step, config, portions)


def _compare_portions(step: Step, config: TrainingConfig, portions: list[Portion]) -> float:
    """The largest difference of losses and gradients between both forms.

    Raises:
        ValueError: If it is not that of rounding.
    """
    plain = PlainLocalStep(step.network, config.loss)
    ours, ours_down = descend(step, portions), gradients(step)
    theirs, theirs_down = descend(plain, portions), gradients(plain)
    largest = max(distance(ours, theirs), distance(ours_down, theirs_down))
    is_double = required(portions[0].pixels, "pixels").dtype == torch.float64
    if not largest <= (DOUBLE if is_double else SINGLE):
        raise ValueError(f"the plain step is another one: they differ by {largest}")
    return largest


# What is timed


def _runs(
    step: Step, config: TrainingConfig, portions: list[Portion]
) -> dict[str, Callable[[], object]]:
    network, loss = step.network, config.loss
    optimizer = torch.optim.Adam([of for part in step.trained for of in part.parameters()], lr=0.0)

    def whole(form: Step) -> Callable[[], object]:
        def run() -> None:
            descend(form, portions)
            optimizer.step()  # at a rate of 0, so that every run has the same weights

        return run

    plain = PlainLocalStep(network, loss)
    return {
        "glnet": whole(step),
        "once": whole(plain),
        "every": whole(PlainLocalStep(network, loss, "every portion")),
        "graph": whole(PlainLocalStep(network, loss, "with its graph")),
        "backbone": lambda: _backbone(step, portions),
        "context": lambda: _context(step, portions),
        "glnet head": lambda: _head(step, portions),
        "plain head": lambda: _head(plain, portions),
    }


def _backbone(step: Step, portions: list[Portion]) -> None:
    step.network.zero_grad()
    for portion in portions:
        maps = required(step.network.local, "local branch").backbone(portion.pixels)
        torch.stack([of.sum() for of in maps]).sum().backward()  # type: ignore[no-untyped-call]


@torch.no_grad()
def _context(step: Step, portions: list[Portion]) -> None:
    opening = required(portions[0].opening, "opening")
    required(step.network.context, "context")(required(opening.thumbnail, "thumbnail").pixels[None])


def _head(step: Step, portions: list[Portion]) -> None:
    with _given_maps(step, required(portions[0].pixels, "pixels")):
        descend(step, portions)


class _Given(nn.Module):
    """Stands for a backbone whose maps are known."""

    def __init__(self, maps: list[Tensor]) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(of[: len(pixels)] for of in self.maps)


@contextmanager
def _given_maps(step: Step, pixels: Tensor) -> Iterator[None]:
    """Put maps of the right sizes, whose gradients are wanted, in the place of the backbone."""
    local = required(step.network.local, "local branch")
    backbone, known = local.backbone, _known_sizes(step, pixels)
    maps = [torch.zeros(size).requires_grad_() for size in known]
    local.backbone = _Given(maps)  # type: ignore[assignment]
    try:
        yield
    finally:
        local.backbone = backbone


def _known_sizes(step: Step, pixels: Tensor) -> list[torch.Size]:
    if not SIZES:
        with torch.no_grad():
            maps = required(step.network.local, "local branch").backbone(pixels)
        SIZES.extend(of.shape for of in maps)
    return SIZES


SIZES: list[torch.Size] = []


# What is written


def _report(
    options: argparse.Namespace,
    differences: tuple[float, float],
    counts: dict[str, float],
    seconds: dict[str, list[float]],
) -> str:
    whole = [
        (
            title,
            spread(seconds[name]),
            spread(ratios(seconds[name], seconds["glnet"])),
            f"{counts[name]:.0f}",
            f"{counts[name] / counts['glnet']:.2f}",
        )
        for name, title in STEPS.items()
    ]
    parts = [(title, spread(seconds[k]), f"{counts[k]:.0f}") for k, title in PARTS.items()]
    head = [
        [a - b for a, b in zip(seconds[f"{form} head"], seconds["context"], strict=True)]
        for form in ("plain", "glnet")
    ]
    small, full = differences
    text = f"""
        One image of 2448x2448, {options.patches} patches of 500 px, {options.micro_batch} at once;
        ResNet-50, pyramid of 256 and 128 channels, 5 classes, deep sharing, aggregation,
        regularisation, float32. A step is forward and backward of all patches and Adam's move.
        Plain: every heard map is cropped and enlarged (`grid_sample`) to the size of the branch's
        own, concatenated and convolved. Losses and gradients of both forms differ by {full:.0e} of
        the largest in float32, in float64 (a small network) by {small:.0e}. Seconds are medians
        (range) of {options.rounds} rounds in turn, ratios are taken round by round.
    """
    return f"""{heading("One step of the second stage, and the same written plainly")}
{paragraph(text)}

{table(["step", "seconds", "over glnet's", "10^9 multiply-adds", "over glnet's"], whole)}

{table(["part", "seconds", "10^9 multiply-adds"], parts)}

The heads without the context branch: plain over glnet's {spread(ratios(*head))}.
"""


if __name__ == "__main__":
    main()
