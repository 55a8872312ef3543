"""Compared networks through the same command, losses and estimates as GLNet."""

from dataclasses import replace
from pathlib import Path

import pytest

from glnet.baselines.building import NetworkName
from glnet.evaluation.evaluate import evaluate_folder
from glnet.geometry import Size
from glnet.inference.settings import Settings
from glnet.model.checkpoint import load_model
from glnet.model.config import Architecture, Branches
from glnet.training.config import TrainingConfig
from glnet.training.estimating import estimate_steps
from glnet.training.following.history import read_history
from glnet.training.run import train
from tests.training.tiny_run import QUIET, tiny_config, write_scenes

pytest.importorskip("segmentation_models_pytorch")


def _config(
    data: Path, output: Path, network: NetworkName, backbone: str, branches: Branches
) -> TrainingConfig:
    alone = Architecture(
        network=network, backbone=backbone, branches=branches, sharing="none", aggregation=False
    )
    return replace(tiny_config(data, output), architecture=alone)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes") / "data").root


@pytest.mark.parametrize(
    ("network", "backbone", "branches"),
    [("unet", "resnet18", "local"), ("segnet", "vgg11", "global"), ("icnet", "resnet18", "local")],
)
def test_a_compared_network_is_trained_saved_and_evaluated(
    network: NetworkName, backbone: str, branches: Branches, data: Path, tmp_path: Path
) -> None:
    config = _config(data, tmp_path / "run", network, backbone, branches)

    train(config, QUIET)

    model = load_model(tmp_path / "run" / "model")
    assert model.config.architecture.network == network
    found = evaluate_folder(tmp_path / "run" / "model", data, "validation", Settings())
    assert list(found.answers) == [branches]
    losses = {name for row in read_history(tmp_path / "run" / "history.csv") for name in row.losses}
    assert losses == {branches, "auxiliary"} if network == "icnet" else {branches}


def test_a_step_is_estimated(data: Path, tmp_path: Path) -> None:
    config = _config(data, tmp_path / "run", "icnet", "resnet18", "global")

    (found,) = estimate_steps(config, 5, 3, Size(200, 200), "cpu", "float32")

    assert found.stage == "context"
    assert found.multiply_adds > 0
