"""The local step learns what the same step learns that is written plainly.

What is plain is `benchmarks/plain_step.py`, beside which training is timed.
"""

from pathlib import Path

import pytest
import torch
from benchmarks.common import (
    CPU,
    cast,
    configuration,
    descend,
    distance,
    gradients,
    prepared,
)
from benchmarks.plain_step import Context, PlainLocalStep

from glnet.data import SceneSettings, write_dataset
from glnet.geometry import Size
from glnet.model.config import Framing
from glnet.training.config import StageConfig
from tests.model.tiny import ARCHITECTURES

FRAMING = Framing(patch_size=72, thumbnail_size=80, overlap=16)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_dataset(folder, SceneSettings(Size(150, 128)), {"train": 2, "validation": 1})
    return folder


@pytest.mark.parametrize("context", ["once", "every portion", "with its graph"])
def test_losses_and_gradients_are_those_of_the_plain_step(context: Context, data: Path) -> None:
    stage_config = StageConfig(epochs=1, learning_rate=1e-4, images=2, patches=3, micro_batch=2)
    config = configuration(data, ARCHITECTURES["deep"], FRAMING, stage_config)
    stage = prepared(config, "local")
    stage.step.network.double()
    portions = [cast(of, torch.float64) for of in stage.feeds.training.step(0, 0, CPU)]
    plain = PlainLocalStep(stage.step.network, config.loss, context)

    losses = descend(stage.step, portions)
    learnt = gradients(stage.step)

    assert len(portions) == 4
    assert distance(losses, descend(plain, portions)) < 1e-12
    trained = gradients(plain)
    assert len(learnt) > 20
    assert distance(learnt, {name: trained[name] for name in learnt}) < 1e-12
    of_context = {name for name in trained if name.startswith("context.")}
    assert set(trained) - set(learnt) == of_context
