"""A dataset of two classes, and a coarse-to-fine configuration small enough to train in a test.

Every image has bright rectangles on a dark ground, one of them at a place of its own.
"""

import random
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image
from torch import Tensor, nn

from glnet.data import SegmentationFolder
from glnet.geometry import Size, Window
from glnet.model.config import Normalization
from glnet.training.config import CoarseToFineTraining, StageConfig, TrainingConfig
from tests.training.tiny_run import tiny_config, with_run

GROUND = Size(240, 200)
STAGES = ("coarse", "context", "local", "refined")
SPOTS = (Window(20, 16, Size(40, 30)), Window(150, 120, Size(60, 50)))
"""Of foreground; far enough from each other for boxes of their own."""
BRIGHT = 130
"""Between the ground's pixels and those of a spot."""


def write_spots(
    folder: Path, train: int = 3, validation: int = 1, spots: tuple[Window, ...] = SPOTS
) -> SegmentationFolder:
    """Images with the same rectangles, moved by a few pixels, on ground of another noise each."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    lists = {
        "train": [f"train_{k}" for k in range(train)],
        "validation": [f"validation_{k}" for k in range(validation)],
    }
    for number, stem in enumerate([*lists["train"], *lists["validation"]]):
        write_image(folder, stem, spots, number)
    described = {
        "classes": [{"name": "ground", "color": "#000000"}, {"name": "spot", "color": "#ffffff"}],
        "mask": {"encoding": "index", "ignore": 255},
        "splits": {"lists": lists},
    }
    (folder / "dataset.yaml").write_text(yaml.safe_dump(described))
    return SegmentationFolder.open(folder)


def write_image(folder: Path, stem: str, spots: tuple[Window, ...], seed: int) -> None:
    """One of them, and its mask; a strip below the first spot is ignored."""
    luck = random.Random(seed)
    pixels = np.random.default_rng(seed).integers(0, 90, (GROUND.height, GROUND.width, 3), np.uint8)
    labels = np.zeros((GROUND.height, GROUND.width), np.uint8)
    for spot in spots:
        rows, columns = spot.moved(luck.randint(-9, 9), luck.randint(-9, 9)).slices
        pixels[rows, columns] += 140
        labels[rows, columns] = 1
    labels[-8:] = 255
    Image.fromarray(pixels).save(folder / "images" / f"{stem}.png")
    Image.fromarray(labels).save(folder / "masks" / f"{stem}.png")


class BrightIsForeground(nn.Module):
    """Stands for a coarse branch; takes bright pixels for foreground.

    Args:
        normalization: Of the pixels that come.
    """

    auxiliary_weights: tuple[float, ...] = ()
    auxiliary: tuple[Tensor, ...] = ()

    def __init__(self, normalization: Normalization) -> None:
        super().__init__()
        self._normalization = normalization

    def forward(self, pixels: Tensor) -> "BrightIsForeground":
        """Logits for pixels (N, bands, h, w)."""
        mean, std = (torch.tensor(of)[:, None, None] for of in astuple(self._normalization))
        bright = (pixels * std + mean).mean(dim=1, keepdim=True) - BRIGHT
        self.logits = torch.cat([-bright, bright], dim=1)
        return self


def boxed_config(
    data: Path, output: Path, row: str = "bidirectional", how: CoarseToFineTraining | None = None
) -> TrainingConfig:
    """All four stages, an epoch each."""
    config = tiny_config(data, output, row)
    coarse = StageConfig(epochs=1, learning_rate=1e-3, images=2, start="fresh")
    stages = replace(
        config.stages, coarse=coarse, context=replace(config.stages.context, start="coarse")
    )
    config = replace(config, stages=stages, coarse_to_fine=how or CoarseToFineTraining())
    return with_run(config, patch_batch=2)
