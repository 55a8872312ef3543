"""One step of the third stage (`RefinedStep`) beside the same step that runs every patch whole.

    python -m benchmarks.refined_step [--side 2448] [--patches 6] [--micro-batch 2] [--rounds 3]
        [--threads N] [--precisions float32 bfloat16]

The paper's network (ResNet-50, 500 px, pyramid of 256 and 128 channels) on one drawn image. Whole:
the local branch as the second stage left it, and its fused map of every patch, though most are only
merged. Losses and gradients are compared before anything is timed. Weights are fresh: they do not
change the cost.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.common import (
    CPU,
    configuration,
    descend,
    distance,
    gradients,
    heading,
    interleaved,
    multiply_adds,
    natural,
    paragraph,
    prepared,
    ratios,
    spread,
    table,
    write_result,
)
from glnet.data import SceneSettings, write_dataset
from glnet.geometry import Size
from glnet.model.config import Architecture, Framing
from glnet.model.features import BranchFeatures
from glnet.model.glnet import GLNet
from glnet.training.config import StageConfig
from glnet.training.portions import Portion
from glnet.training.steps import RefinedStep, Step

ALLOWED = 1e-3
"""Difference in float32, in shares of the largest number: folded weights round otherwise."""

STEPS = {"glnet": "glnet's step", "whole": "every patch whole"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=natural, default=2448, help="of the image")
    parser.add_argument("--patches", type=natural, default=6, help="that train")
    parser.add_argument("--micro-batch", type=natural, default=2)
    parser.add_argument("--rounds", type=natural, default=3)
    parser.add_argument("--threads", type=natural, default=torch.get_num_threads())
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        step, portions = _prepared(Path(folder) / "data", options)
        steps = {"glnet": step, "whole": _whole(step)}
        difference = _difference(steps, portions)
        runs = {
            f"{precision} {name}": _run(of, portions, getattr(torch, precision))
            for precision in options.precisions
            for name, of in steps.items()
        }
        counts = {name: multiply_adds(run) for name, run in runs.items()}
        seconds = interleaved(runs, options.rounds)
    write_result("refined-step", _report(options, difference, counts, seconds))


def _prepared(data: Path, options: argparse.Namespace) -> tuple[RefinedStep, list[Portion]]:
    size = Size(options.side, options.side)
    write_dataset(data, SceneSettings(size), {"train": 1, "validation": 1})
    stage = StageConfig(
        epochs=1,
        learning_rate=1e-4,
        images=1,
        patches=options.patches,
        micro_batch=options.micro_batch,
    )
    found = prepared(configuration(data, Architecture(), Framing(), stage), "refined")
    assert isinstance(found.step, RefinedStep)
    return found.step, list(found.feeds.training.step(0, 0, CPU))


class _EveryPatchWhole(GLNet):
    """A network that makes the fused map of patches of which only features are wanted."""

    def offer_patches(self, *given: object) -> BranchFeatures:
        """As `GLNet.offer_patches`."""
        return self.see_patches(*given).features  # type: ignore[arg-type]


def _whole(step: RefinedStep) -> RefinedStep:
    network = step.network
    other = RefinedStep(network, step._sampling, step._objective)
    other._folded = _EveryPatchWhole(network.context, network.local, None, None)
    return other


def _difference(steps: dict[str, RefinedStep], portions: list[Portion]) -> float:
    """The largest one of losses and gradients.

    Raises:
        ValueError: If it is not that of rounding.
    """
    found = {name: (descend(of, portions), gradients(of)) for name, of in steps.items()}
    ours, theirs = found["glnet"], found["whole"]
    largest = max(distance(ours[0], theirs[0]), distance(ours[1], theirs[1]))
    if not largest <= ALLOWED:
        raise ValueError(f"the steps are not the same: they differ by {largest}")
    return largest


def _run(step: Step, portions: list[Portion], dtype: torch.dtype) -> Callable[[], object]:
    def run() -> None:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            descend(step, portions)

    return run


def _report(
    options: argparse.Namespace,
    difference: float,
    counts: dict[str, float],
    seconds: dict[str, list[float]],
) -> str:
    lines = [
        (
            precision,
            title,
            spread(seconds[f"{precision} {name}"]),
            spread(ratios(seconds[f"{precision} {name}"], seconds[f"{precision} glnet"])),
            f"{counts[f'{precision} {name}']:.0f}",
        )
        for precision in options.precisions
        for name, title in STEPS.items()
    ]
    text = f"""
        One image of {options.side}x{options.side}, all patches of 500 px merged and
        {options.patches} of them trained on, {options.micro_batch} at once; ResNet-50, pyramid of
        256 and 128 channels, both directions. A step is forward and backward. Whole: the local
        branch's normalisation is not folded, and patches that are only merged make a fused map and
        logits too. Losses and gradients differ by {difference:.0e} of the largest in float32.
        Seconds are medians (range) of {options.rounds} rounds in turn, ratios are taken round by
        round; bfloat16 is torch's autocast.
    """
    columns = ["precision", "step", "seconds", "over glnet's", "10^9 multiply-adds"]
    return "\n".join(
        [
            heading("One step of the third stage, and the same with every patch whole"),
            paragraph(text),
            "",
            table(columns, lines),
            "",
        ]
    )


if __name__ == "__main__":
    main()
