from pathlib import Path

import pytest

from glnet.data import read_description
from glnet.training.config import TrainingConfig
from glnet.training.config_file import read_config

CONFIGS = Path(__file__).parents[2] / "configs"
FILES = sorted(path for path in CONFIGS.rglob("*.yaml") if path.name != "dataset.yaml")


def test_there_are_configurations() -> None:
    assert {"paper.yaml", "small.yaml"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_shipped_configurations_are_read_with_their_descriptions(path: Path) -> None:
    config = read_config(path)

    if config.data.description is not None:
        assert Path(config.data.description) == path.parent / "dataset.yaml"
        assert read_description(config.data.description).num_classes >= 2


def test_the_papers_configuration_differs_from_the_defaults_only_in_its_weights() -> None:
    config = read_config(CONFIGS / "paper.yaml")
    default = TrainingConfig(data=config.data, output=config.output)

    assert (config.framing, config.loss, config.stages) == (
        default.framing,
        default.loss,
        default.stages,
    )
    assert config.run.pretrained
    assert config.architecture.backbone == "resnet50.tv_in1k"
