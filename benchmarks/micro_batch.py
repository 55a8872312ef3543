"""Gradients by the number of patches (or thumbnails) that run at once, against all at once.

    python -m benchmarks.micro_batch [--patches 9]

A small network on two small drawn images. What is reported is the largest difference of any number
of any gradient, in shares of the largest number of all.
"""

import argparse
import tempfile
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from benchmarks.common import (
    CPU,
    cast,
    configuration,
    descend,
    distance,
    gradients,
    heading,
    paragraph,
    prepared,
    table,
    write_result,
)
from glnet.data import SceneSettings, write_dataset
from glnet.geometry import Size
from glnet.model.config import Architecture, Framing
from glnet.training.choices import BatchStatistics
from glnet.training.config import RunConfig, StageConfig, TrainingConfig

STAGES = ("context", "local", "refined")
AT_ONCE = (1, 2, 3, 6)
ALL = 1000
DTYPES = {"float32": torch.float32, "float64": torch.float64}
NETWORK = Architecture(backbone="resnet18", fpn_width=32, refined_width=16)
FRAMING = Framing(patch_size=128, thumbnail_size=128, overlap=16)
IMAGES = 7
"""No number of thumbnails at once divides them but 1."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_dataset(data, SceneSettings(Size(352, 352)), {"train": IMAGES, "validation": 1})
        rows = [
            _row(data, stage, statistics, precision, options.patches)
            for statistics in reversed(get_args(BatchStatistics))
            for stage in STAGES
            for precision in DTYPES
        ]
    write_result("micro-batch", _report(options, rows))


def _row(
    data: Path, stage: str, statistics: BatchStatistics, precision: str, patches: int
) -> list[str]:
    def config(at_once: int) -> TrainingConfig:
        of = StageConfig(
            epochs=1,
            learning_rate=1e-4,
            images=IMAGES if stage == "context" else 2,
            patches=patches,
            micro_batch=at_once,
        )
        run = RunConfig(device="cpu", batch_statistics=statistics, patch_batch=4)
        return configuration(data, NETWORK, FRAMING, of, run)

    def learnt(at_once: int) -> dict[str, Tensor]:
        of = prepared(config(at_once), stage)
        of.step.network.load_state_dict(weights)
        of.step.network.to(DTYPES[precision])
        portions = of.feeds.training.step(0, 0, CPU)
        descend(of.step, (cast(portion, DTYPES[precision]) for portion in portions))
        return gradients(of.step)

    weights = prepared(config(ALL), stage).step.network.state_dict()
    expected = learnt(ALL)
    differences = [f"{distance(learnt(at_once), expected):.0e}" for at_once in AT_ONCE]
    return [stage, statistics, precision, *differences]


def _report(options: argparse.Namespace, rows: list[list[str]]) -> str:
    columns = ["stage", "batch_statistics", "precision", *(f"{of} at once" for of in AT_ONCE)]
    text = f"""
        {NETWORK.backbone}, pyramid of {NETWORK.fpn_width} and {NETWORK.refined_width} channels;
        patches and thumbnails of {FRAMING.patch_size} px; {IMAGES} thumbnails a step in the context
        stage, two images with {options.patches} patches each in the others. The largest difference
        of the gradients from those with everything at once, in shares of the largest.
    """
    statistics = """
        With `running` statistics a micro-batch is a matter of memory alone. With `micro_batch`
        batch normalisation divides by the mean and variance of what runs at once, so its size is
        part of what is learnt: those rows show how much, and are not meant to be 0. The refined
        branch sees one thumbnail at a time and the patches' branch is frozen, so that the refined
        stage does not depend on it in either case.
    """
    return f"""{heading("Gradients by the size of a micro-batch")}
{paragraph(text)}

{paragraph(statistics)}

{table(columns, rows)}
"""


if __name__ == "__main__":
    main()
