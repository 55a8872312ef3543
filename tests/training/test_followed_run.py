"""What a run writes down of itself, and that it learns the same whether it does or not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from glnet.errors import ConfigurationError
from glnet.training.config import FollowConfig, RunConfig, TrainingConfig
from glnet.training.config_file import read_config
from glnet.training.following.history import read_history
from glnet.training.resuming import as_yaml
from glnet.training.run import Watchers, train, train_and_evaluate
from tests.training.tiny_run import tiny_config, with_stages, write_scenes


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    write_scenes(tmp_path / "data")
    config = tiny_config(tmp_path / "data", tmp_path / "run")
    stages = replace(config.stages, local=replace(config.stages.local, epochs=3))
    run = RunConfig(device="cpu", validate_every=2, checkpoint_minutes=0)
    return replace(config, stages=stages, run=run, follow=FollowConfig(pictures_every=2))


def test_every_round_has_a_row(config: TrainingConfig, tmp_path: Path) -> None:
    train(config)

    rounds = read_history(tmp_path / "run" / "history.csv")
    assert [(of.stage, of.epoch) for of in rounds] == [
        ("context", 1),
        ("local", 1),
        ("local", 2),
        ("local", 3),
        ("refined", 1),
    ]
    assert [of.validation_miou is not None for of in rounds] == [True, False, True, True, True]
    for of in rounds:
        assert of.gradient_norm > 0
        assert of.learning_rate >= 0
        assert of.waiting_share is not None
        assert 0 <= of.waiting_share <= 1
    assert set(rounds[1].losses) == {"aggregated", "local", "regularization"}


@pytest.mark.parametrize("last", [2, 3, 4])
def test_a_run_that_is_resumed_has_the_rows_of_one_that_was_not(
    last: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glnet.training.following.follower.ROUND_STEPS", 2)
    write_scenes(tmp_path / "data", train=4)
    follow = FollowConfig(tensorboard=False, pictures_every=0)

    def config(name: str) -> TrainingConfig:
        plain = tiny_config(tmp_path / "data", tmp_path / name)
        run = RunConfig(device="cpu", checkpoint_minutes=0)
        return replace(with_stages(plain, "context", images=1, epochs=2), run=run, follow=follow)

    def stop(words: str, done: int, _: int) -> None:
        if words.startswith("context") and done == last:
            raise KeyboardInterrupt

    train(config("whole"))
    with pytest.raises(KeyboardInterrupt):
        train(config("cut"), Watchers(steps=stop))
    train(config("cut"), resume=True)

    whole, cut = (read_history(tmp_path / name / "history.csv") for name in ("whole", "cut"))
    assert [of.epoch for of in whole] == [0.5, 1, 1.5, 2]
    for of, expected in zip(cut, whole, strict=True):
        assert (of.stage, of.epoch, of.step) == (expected.stage, expected.epoch, expected.step)
        assert of.losses == pytest.approx(expected.losses)
        assert of.gradient_norm == pytest.approx(expected.gradient_norm)


def test_long_epochs_have_several_rows(
    config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glnet.training.following.follower.ROUND_STEPS", 1)

    train(config)

    rounds = read_history(tmp_path / "run" / "history.csv")
    assert [of.epoch for of in rounds if of.stage == "local"] == [0.5, 1, 1.5, 2, 2.5, 3]
    assert [of.step for of in rounds if of.stage == "local"] == [1, 2, 3, 4, 5, 6]


def test_the_folder_explains_itself(config: TrainingConfig, tmp_path: Path) -> None:
    train_and_evaluate(config)

    output = tmp_path / "run"
    text = (output / "README.md").read_text()
    for words in ("terrain", "Scores", "curves/overview.png", "--resume", "history.csv"):
        assert words in text
    run = json.loads((output / "run.json").read_text())
    assert run["split"]["validation"] == ["validation_000"]
    assert {path.stem for path in (output / "curves").glob("*.png")} == {
        "context",
        "local",
        "overview",
        "refined",
    }
    drawn = sorted(path.name for path in (output / "pictures" / "validation_000").glob("*.png"))
    assert drawn == ["context-001.png", "local-002.png", "local-003.png", "refined-001.png"]


def test_pictures_and_loggers_do_not_change_what_is_learnt(
    config: TrainingConfig, tmp_path: Path
) -> None:
    quiet = replace(
        config,
        output=str(tmp_path / "quiet"),
        follow=FollowConfig(tensorboard=False, pictures_every=0),
    )

    followed, unfollowed = train(config), train(quiet)

    for name, of in followed.network.state_dict().items():
        assert torch.equal(of, unfollowed.network.state_dict()[name]), name
    assert not (tmp_path / "quiet" / "logs").exists()
    assert not (tmp_path / "quiet" / "pictures").exists()


def test_other_loggers_join_by_configuration(config: TrainingConfig, tmp_path: Path) -> None:
    logger = {"class_path": "CSVLogger", "init_args": {"save_dir": "{output}", "name": "{stage}"}}
    train(replace(config, follow=FollowConfig(loggers=[logger], pictures_every=0)))

    (table,) = (tmp_path / "run" / "local").rglob("metrics.csv")
    assert "validation/miou" in table.read_text().splitlines()[0]
    assert list((tmp_path / "run" / "logs" / "local").glob("events*"))


def test_a_logger_that_is_none_is_refused_before_the_first_epoch(
    config: TrainingConfig, tmp_path: Path
) -> None:
    logger = {"class_path": "NoLogger", "init_args": {}}

    with pytest.raises(ConfigurationError, match=r"there is no .*NoLogger"):
        train(replace(config, follow=FollowConfig(loggers=[logger])))

    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_picture_of_an_unknown_image_is_refused(config: TrainingConfig) -> None:
    with pytest.raises(ConfigurationError, match="the split has no image 'gone'"):
        train(replace(config, follow=FollowConfig(picture_stems=["gone"])))


def test_the_written_configuration_reads_as_the_one_that_ran(
    config: TrainingConfig, tmp_path: Path
) -> None:
    logger = {"class_path": "CSVLogger", "init_args": {"save_dir": "1e-3", "version": "007"}}
    config = replace(config, follow=replace(config.follow, loggers=[logger]))
    file = tmp_path / "again.yaml"

    file.write_text(as_yaml(config))

    assert read_config(file) == config
    assert yaml.safe_load(file.read_text())["follow"]["loggers"] == [logger]
