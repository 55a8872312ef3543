import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader, TensorDataset

from glnet.errors import ConfigurationError
from glnet.training.following.logger_config import LoggerConfig, logger_configs
from glnet.training.following.loggers import build_loggers, check_loggers
from glnet.training.following.rounds import Round
from glnet.training.following.telling import (
    log_configuration,
    log_picture,
    log_round,
    scalars_of,
)
from tests.training.following.some_rounds import a_round, looked_at

CSV = LoggerConfig(class_path="CSVLogger", init_args={"save_dir": "{output}/csv", "name": "a"})
OWN = f"{__name__}.OwnLogger"


class OwnLogger(Logger):
    """A logger as somebody else may bring it."""

    def __init__(self, place: str, tags: list[str] | None = None) -> None:
        super().__init__()
        if not place:
            raise ValueError("a place\nis needed")
        if place == "package":
            raise ModuleNotFoundError("No module named 'wandb'")
        self.place, self.tags, self.told = place, tags, list[Any]()

    @property
    def name(self) -> str:
        return "own"

    @property
    def version(self) -> str:
        return "0"

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.told.append((metrics, step))

    def log_hyperparams(self, *_: object, **__: object) -> None:
        """Hear nothing of them."""


class Slope(lightning.LightningModule):
    """Trains one number."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Linear(1, 1)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        loss: torch.Tensor = self.slope(batch[0]).square().mean()
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def written(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def points(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(of.step, of.value) for of in written(folder).Scalars(name)]


def told(output: Path, rounds: list[Round], resumed_at: int = 0) -> None:
    """Log rounds as a process does that may end at any time."""
    loggers = build_loggers([], output, "local", resumed_at=resumed_at)
    for each in rounds:
        log_round(loggers, each)
    for logger in loggers:
        logger.finalize("aborted")


def refusal(config: LoggerConfig, output: Path) -> str:
    with pytest.raises(ConfigurationError) as refused:
        build_loggers([config], output, "local", tensorboard=False)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_names_of_a_configuration_are_read() -> None:
    arguments = {"a": 1, "b": [1.5, None, {"c": True}], "d": "007"}
    values: list[dict[str, Any]] = [
        {"class_path": "A"},
        {"class_path": "b.C", "init_args": arguments},
    ]

    assert logger_configs(values) == [
        LoggerConfig(class_path="A"),
        LoggerConfig(class_path="b.C", init_args=arguments),
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, r"loggers\[0\].class_path: expected a logger such as CSVLogger, got None"),
        ({"class_path": ""}, r"loggers\[0\].class_path: expected a logger"),
        ({"class_path": 3}, r"loggers\[0\].class_path: .*got 3"),
        ({"class_path": "A", "args": 1}, r"unknown key loggers\[0\].args; known here: class_path,"),
        ({"class_path": "A", "init_args": 3}, r"loggers\[0\].init_args: expected .*got 3"),
        ({"class_path": "A", "init_args": None}, r"loggers\[0\].init_args: expected .*got None"),
        ({"class_path": "A", "init_args": {1: 2}}, r"loggers\[0\].init_args: .*by name, got"),
        ({"class_path": "A", "init_args": {"a": [{1, 2}]}}, "init_args.a must be .*; got list"),
        ({"class_path": "A", "init_args": {"a": {1: 2}}}, "init_args.a must be .*; got dict"),
        ({"class_path": "A", "init_args": {"a": Slope}}, "init_args.a must be .*; got type"),
    ],
)
def test_what_names_no_logger_is_refused(value: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        logger_configs([value])


def test_places_in_texts_are_filled_in() -> None:
    config = LoggerConfig(
        class_path="A",
        init_args={"a": "{output}/{stage}", "b": [{"c": "{stage}{x}"}, 3, None], "{stage}": 1.5},
    )

    assert config.arguments("run", "local") == {
        "a": "run/local",
        "b": [{"c": "local{x}"}, 3, None],
        "{stage}": 1.5,
    }


def test_tensorboard_lies_in_the_stages_folder(tmp_path: Path) -> None:
    (board,) = build_loggers([], tmp_path, "local")

    log_round([board], looked_at())

    assert isinstance(board, TensorBoardLogger)
    assert Path(board.log_dir) == tmp_path / "logs" / "local"
    assert any("tfevents" in path.name for path in (tmp_path / "logs" / "local").iterdir())


def test_tensorboard_can_be_left_out(tmp_path: Path) -> None:
    assert build_loggers([], tmp_path, "local", tensorboard=False) == []


def test_loggers_are_made_by_name_and_by_path(tmp_path: Path) -> None:
    own = LoggerConfig(class_path=OWN, init_args={"place": "{stage}", "tags": ["a"]})

    board, by_name, by_path = build_loggers([CSV, own], tmp_path, "local")

    assert isinstance(board, TensorBoardLogger)
    assert isinstance(by_name, CSVLogger)
    assert Path(by_name.save_dir) == tmp_path / "csv"
    assert type(by_path).__name__ == "OwnLogger"
    assert (by_path.place, by_path.tags) == ("local", ["a"])  # type: ignore[attr-defined]


def test_every_logger_is_told_the_numbers_of_a_round(tmp_path: Path) -> None:
    own = LoggerConfig(class_path=OWN, init_args={"place": "here"})
    loggers = build_loggers([own, CSV], tmp_path, "local")

    log_round(loggers, looked_at(miou=0.75))

    assert loggers[1].told == [(scalars_of(looked_at(miou=0.75)), 10)]  # type: ignore[attr-defined]
    assert points(tmp_path / "logs" / "local", "validation/miou") == [(10, 0.75)]
    (csv,) = (tmp_path / "csv").rglob("metrics.csv")
    assert "0.75" in csv.read_text()


def test_scalars_are_the_known_numbers_of_a_round() -> None:
    assert set(scalars_of(a_round())) == {
        "train/loss",
        "train/aggregated",
        "train/local",
        "train/learning_rate",
        "train/gradient_norm",
        "train/gradient_norm_max",
        "train/epoch",
    }
    assert set(scalars_of(looked_at())) - set(scalars_of(a_round())) == {
        "validation/loss",
        "validation/miou",
        "machine/waiting_share",
        "machine/images_per_second",
        "machine/peak_memory_mib",
    }


def test_steps_that_a_resumed_run_repeats_are_shown_once(tmp_path: Path) -> None:
    def rounds(first: int, last: int, norm: float) -> list[Round]:
        return [a_round(epoch=of, gradient_norm=norm) for of in range(first, last + 1)]

    told(tmp_path, rounds(1, 4, 1.0))  # 40 steps, of which a checkpoint kept 20
    told(tmp_path, rounds(3, 5, 2.0), resumed_at=20)

    norms = points(tmp_path / "logs" / "local", "train/gradient_norm")
    assert norms == [(10, 1.0), (20, 1.0), (30, 2.0), (40, 2.0), (50, 2.0)]


def test_the_configuration_and_pictures_are_shown(tmp_path: Path) -> None:
    loggers = build_loggers([CSV], tmp_path, "local")
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)

    log_configuration(loggers, "data:\n  folder: a\n")
    log_picture(loggers, "answers/a", picture, 30)
    loggers[0].finalize("success")

    events = written(tmp_path / "logs" / "local")
    (text,) = events.Tensors("configuration/text_summary")
    assert text.tensor_proto.string_val == [b"    data:\n      folder: a"]
    (image,) = events.Images("answers/a")
    assert (image.step, image.height, image.width) == (30, 20, 30)


def test_loggers_fit_lightnings_trainer(tmp_path: Path) -> None:
    loggers = build_loggers([CSV], tmp_path, "context")
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=loggers,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's own, on workers and deprecations in torch.
        trainer.fit(Slope(), DataLoader(TensorDataset(torch.ones(8, 1)), batch_size=4))
    log_round(trainer.loggers, looked_at("context", 0.4))
    loggers[0].finalize("success")

    # Lightning ends a file and begins another; of one second, they are read in any order.
    losses = sorted(points(tmp_path / "logs" / "context", "train/loss"))
    assert [step for step, _ in losses] == [0, 1, 2, 3, 4]
    assert losses[-1][1] == looked_at().loss


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("NoLogger", "there is no lightning.pytorch.loggers.NoLogger .*one of CSVLogger, "),
        ("no_such_package.Logger", "there is no no_such_package.Logger (No module named 'no_such"),
        (".Logger", "there is no .Logger "),
        ("pathlib.Path", "pathlib.Path is no Lightning logger"),
        ("lightning.pytorch.loggers.csv_logs", "is no Lightning logger"),
        ("json.dumps", "json.dumps is no Lightning logger"),
    ],
)
def test_what_is_no_logger_is_refused(tmp_path: Path, path: str, message: str) -> None:
    start, _, end = message.partition(".*")
    words = refusal(LoggerConfig(class_path=path), tmp_path)

    assert start in words
    assert end in words


def test_arguments_that_a_logger_does_not_know_are_refused_before_it_is_made() -> None:
    with pytest.raises(ConfigurationError, match=r"unexpected.*'x'; it knows save_dir, name"):
        check_loggers([LoggerConfig(class_path="CSVLogger", init_args={"save_dir": "a", "x": 1})])
    with pytest.raises(ConfigurationError, match="missing a required argument: 'place'"):
        check_loggers([LoggerConfig(class_path=OWN)])
    check_loggers([LoggerConfig(class_path=OWN, init_args={"place": ""})])


def test_arguments_that_a_logger_refuses_are_told(tmp_path: Path) -> None:
    words = refusal(LoggerConfig(class_path=OWN, init_args={"place": ""}), tmp_path)

    assert words.endswith("cannot be made with the given init_args: ValueError: a place is needed")


def test_a_package_that_is_missing_is_told(tmp_path: Path) -> None:
    words = refusal(LoggerConfig(class_path=OWN, init_args={"place": "package"}), tmp_path)

    assert "needs a package that is not installed: No module named 'wandb'; install it" in words


@pytest.mark.skipif(find_spec("wandb") is not None, reason="needs wandb to be missing")
def test_a_logger_of_lightnings_whose_package_is_missing_is_told(tmp_path: Path) -> None:
    words = refusal(LoggerConfig(class_path="WandbLogger"), tmp_path)

    assert "WandbLogger needs a package that is not installed: " in words
