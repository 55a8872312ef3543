"""A dataset and a configuration small enough to train in a test."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from glnet.data import SceneSettings, SegmentationFolder, write_dataset
from glnet.geometry import Size
from glnet.model.checkpoint import load_model
from glnet.model.config import Framing
from glnet.training.config import (
    DataConfig,
    RunConfig,
    StageConfig,
    StagesConfig,
    TrainingConfig,
)
from glnet.training.progress import Moment
from glnet.training.run import Watchers
from tests.model.tiny import ARCHITECTURES

SCENE = Size(160, 128)
FRAMING = Framing(patch_size=64, thumbnail_size=64, overlap=16)
STAGES = ("context", "local", "refined")


def hear_nothing(moment: Moment) -> None:
    """A report that nobody reads."""


QUIET = Watchers(hear_nothing)


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


def with_stages(config: TrainingConfig, *names: str, **changes: Any) -> TrainingConfig:  # noqa: ANN401
    """The same with only these stages, changed alike; all of them where none is named.

    The coarse stage is one of them, which is there in coarse-to-fine runs alone.
    """
    changed = {
        name: replace(
            getattr(config.stages, name),
            **(changes if not names or name in names else {"epochs": 0}),
        )
        for name in ("coarse", *STAGES)
    }
    return replace(config, stages=replace(config.stages, **changed))


def with_run(config: TrainingConfig, **changes: Any) -> TrainingConfig:  # noqa: ANN401
    """The same with other keys of ``run``."""
    return replace(config, run=replace(config.run, **changes))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Of a model on disk."""
    state: dict[str, torch.Tensor] = load_model(folder).network.state_dict()
    return state


def assert_same_weights(one: Path, other: Path, starting: str = "") -> None:
    """Bitwise, of all that begins so."""
    ours, theirs = weights(one), weights(other)
    kept = [name for name in ours if name.startswith(starting)]
    assert kept
    assert [name for name in kept if not torch.equal(ours[name], theirs[name])] == []
