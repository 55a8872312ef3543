"""Share of its time that training waits for data, by reading processes and cache.

    python -m benchmarks.waiting [--images 4] [--epochs 2] [--backbone resnet18]

The local stage on drawn JPEG scenes of 2448x2448. A step is an image and six of its patches. The
first epoch is left out: it starts the processes and fills the cache.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import (
    CPU,
    configuration,
    descend,
    heading,
    paragraph,
    prepared,
    spread,
    table,
    write_result,
)
from glnet.data import SceneSettings, write_dataset
from glnet.geometry import Size, Window
from glnet.model.config import Architecture, Framing
from glnet.raster import open_raster, write_picture
from glnet.training.config import StageConfig, TrainingConfig

SIDE = 2448
WORKERS = (0, 1, 2)
CACHES = (0, 2048)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--backbone", default="resnet18")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        _draw(data, options.images)
        rows = [
            _row(_config(data, options, workers, cache), options.epochs)
            for cache in CACHES
            for workers in WORKERS
        ]
    write_result("waiting", _report(options, rows))


def _draw(data: Path, images: int) -> None:
    """A dataset whose images are JPEG."""
    write_dataset(data, SceneSettings(Size(SIDE, SIDE)), {"train": images, "validation": 1})
    for png in (data / "images").glob("*.png"):
        with open_raster(png) as raster:
            pixels = raster.read(Window(0, 0, raster.size))
        write_picture(png.with_suffix(".jpg"), np.moveaxis(pixels, 0, 2))
        png.unlink()


def _config(data: Path, options: argparse.Namespace, workers: int, cache: int) -> TrainingConfig:
    architecture = Architecture(
        backbone=options.backbone, fpn_width=64, refined_width=32, sharing="global_to_local"
    )
    stage = StageConfig(epochs=options.epochs, learning_rate=1e-4, images=1)
    config = configuration(data, architecture, Framing(), stage)
    return replace(config, data=replace(config.data, workers=workers, cache_mib=cache))


def _row(config: TrainingConfig, epochs: int) -> list[str]:
    stage = prepared(config, "local")
    feed, shares, seconds = stage.feeds.training, [], []
    optimizer = torch.optim.Adam(
        [of for part in stage.step.trained for of in part.parameters()], lr=1e-4
    )
    for epoch in range(epochs + 1):
        began, waited = time.perf_counter(), feed.waited_s
        for step in range(feed.plan.steps):
            descend(stage.step, feed.step(epoch, step, CPU))
            optimizer.step()
        took = time.perf_counter() - began
        if epoch:
            shares.append(100 * (feed.waited_s - waited) / took)
            seconds.append(took / feed.plan.steps)
    data = config.data
    return [str(data.workers), str(data.cache_mib), spread(shares, 1), spread(seconds)]


def _report(options: argparse.Namespace, rows: list[list[str]]) -> str:
    columns = ["workers", "cache_mib", "% of the time waited for data", "seconds per step"]
    text = f"""
        Local stage, {options.backbone}, pyramid of 64 and 32 channels, 500 px; {options.images}
        drawn JPEG scenes of {SIDE}x{SIDE} with PNG masks; a step is one image with six patches.
        `Feed.waited_s` over the time of an epoch, median (range) of {options.epochs} epochs.
        Without a cache every image is decoded once per step. Reading processes and the network
        share the processor here, so what is read meanwhile slows the network down; on a GPU it
        would not.
    """
    return f"""{heading("How long training waits for its data")}
{paragraph(text)}

{table(columns, rows)}
"""


if __name__ == "__main__":
    main()
