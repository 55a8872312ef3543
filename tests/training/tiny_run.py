"""A dataset and a configuration small enough to train in a test."""

from dataclasses import replace
from pathlib import Path

from glnet.data import SceneSettings, SegmentationFolder, write_dataset
from glnet.geometry import Size
from glnet.model.config import Framing
from glnet.training.config import (
    DataConfig,
    RunConfig,
    StageConfig,
    StagesConfig,
    TrainingConfig,
)
from tests.model.tiny import ARCHITECTURES

SCENE = Size(160, 128)
FRAMING = Framing(patch_size=64, thumbnail_size=64, overlap=16)


def write_scenes(folder: Path, train: int = 2) -> SegmentationFolder:
    return write_dataset(folder, SceneSettings(SCENE), {"train": train, "validation": 1})


def tiny_config(data: Path, output: Path, row: str = "bidirectional") -> TrainingConfig:
    stage = StageConfig(epochs=1, learning_rate=1e-3, images=1, patches=2)
    return TrainingConfig(
        data=DataConfig(folder=str(data)),
        output=str(output),
        architecture=ARCHITECTURES[row],
        framing=FRAMING,
        stages=StagesConfig(context=replace(stage, images=2), local=stage, refined=stage),
        run=RunConfig(device="cpu"),
    )
