import json
import math
import multiprocessing
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from PIL import Image

from glnet.data import SceneSettings, SegmentationFolder, write_dataset
from glnet.errors import ConfigurationError, DatasetError, OutputError
from glnet.geometry import Size, Window
from glnet.inference.streaming import Settings, answers_of, predict
from glnet.model.checkpoint import Model, load_model
from glnet.training.config import TrainingConfig
from glnet.training.config_file import read_config
from glnet.training.progress import Figures, Moment
from glnet.training.run import Watchers, train, train_and_evaluate
from glnet.training.stages import StageModule
from tests.training.tiny_run import (
    QUIET,
    SCENE,
    assert_same_weights,
    tiny_config,
    weights,
    with_run,
    with_stages,
    write_scenes,
)

STAGES = {
    "local only": ["local"],
    "global only": ["context"],
    "aggregation only": ["context", "local"],
    "shallow": ["context", "local"],
    "deep": ["context", "local"],
    "bidirectional": ["context", "local", "refined"],
}
"""By row of the paper's Table 2."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> SegmentationFolder:
    return write_scenes(tmp_path_factory.mktemp("scenes"))


@pytest.fixture
def config(scenes: SegmentationFolder, tmp_path: Path) -> TrainingConfig:
    return tiny_config(scenes.root, tmp_path / "run")


def assert_predicts(model: Model, scenes: SegmentationFolder) -> None:
    with (
        scenes.samples[0].open_image() as raster,
        predict(model, raster, Settings()) as prediction,
    ):
        answer = answers_of(model)[-1]
        scores = prediction.scores(answer, Window(0, 0, SCENE), torch.device("cpu"))
    assert scores.shape == (5, SCENE.height, SCENE.width)
    assert scores.isfinite().all()


@pytest.mark.parametrize("row", STAGES)
def test_every_row_of_table_2_trains(row: str, scenes: SegmentationFolder, tmp_path: Path) -> None:
    config = tiny_config(scenes.root, tmp_path / "run", row)
    moments: list[Moment] = []

    train(config, Watchers(moments.append))

    output, names = Path(config.output), STAGES[row]
    files = {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}
    expected = {"config.yaml", "run.json", "README.md", "history.csv", "curves/overview.png"}
    expected |= {"model/config.json", "model/model.safetensors"}
    for name in names:
        expected |= {f"stages/{name}/config.json", f"stages/{name}/model.safetensors"}
        expected |= {f"logs/{name}/hparams.yaml"}
        expected |= {f"curves/{name}.png", f"pictures/validation_000/{name}-001.png"}
        expected |= {f"checkpoints/{name}/{kept}.ckpt" for kept in ("last", "best")}
    assert {name for name in files if "tfevents" not in name} == expected
    assert sum("tfevents" in name for name in files) == len(names)
    assert_same_weights(output / "model", output / "stages" / names[-1])
    assert_predicts(load_model(output / "model"), scenes)
    assert [moment.stage for moment in moments] == names


def test_frozen_branches_stay_as_their_stage_left_them(config: TrainingConfig) -> None:
    train(config, QUIET)

    stages = Path(config.output) / "stages"
    assert_same_weights(stages / "context", stages / "refined", "context.")
    assert_same_weights(stages / "local", stages / "refined", "local.")
    aggregations = [weights(stages / name)["aggregation.weight"] for name in ("local", "refined")]
    assert not torch.equal(*aggregations)


def test_moments_tell_where_a_stage_stands(config: TrainingConfig) -> None:
    moments: list[Moment] = []
    three = with_stages(config, "context", epochs=3)

    train(with_run(three, validate_every=2), Watchers(moments.append))

    assert [(of.stage, of.epoch, of.epochs) for of in moments] == [
        ("context", epoch, 3) for epoch in (1, 2, 3)
    ]
    assert moments[0].mean_iou is None  # due after every second one, and after the last
    assert all(of.mean_iou is not None and 0 <= of.mean_iou <= 1 for of in moments[1:])
    assert all(math.isfinite(of.loss) and of.loss > 0 for of in moments)
    assert moments[0].seconds <= moments[1].seconds <= moments[2].seconds
    assert moments[2].seconds_left == 0 < moments[0].seconds_left


def test_the_same_seed_gives_the_same_weights(config: TrainingConfig, tmp_path: Path) -> None:
    again = replace(config, output=str(tmp_path / "again"))
    other = with_run(replace(config, output=str(tmp_path / "other")), seed=config.run.seed + 1)

    for each in (config, again, other):
        train(each, QUIET)

    assert_same_weights(tmp_path / "run" / "model", tmp_path / "again" / "model")
    ours, theirs = (weights(tmp_path / name / "model") for name in ("run", "other"))
    assert not torch.equal(ours["context.classify.weight"], theirs["context.classify.weight"])


def test_the_run_explains_itself(config: TrainingConfig) -> None:
    train(config, QUIET)

    output = Path(config.output)
    explained: dict[str, Any] = json.loads((output / "run.json").read_text())
    assert read_config(output / "config.yaml") == config
    assert explained["seed"] == config.run.seed
    assert explained["split"] == {
        "train": ["train_000", "train_001"],
        "validation": ["validation_000"],
    }
    assert explained["versions"]["lightning"] == lightning.__version__


def test_training_then_evaluates_the_validation_split(config: TrainingConfig) -> None:
    result = train_and_evaluate(with_run(config, device="auto"), QUIET)

    assert result is not None
    assert result.model == Path(config.output) / "model"
    assert result.evaluation.images == 1
    assert result.evaluation.pixels == SCENE.area
    assert set(result.evaluation.answers) == {"global", "local", "aggregated"}
    report = json.loads((Path(config.output) / "report.json").read_text())
    assert {"model": str(result.model), **report} == result.to_dict()


def test_an_output_folder_with_something_in_it_is_refused(config: TrainingConfig) -> None:
    output = Path(config.output)
    output.mkdir()
    (output / "notes.txt").touch()

    with pytest.raises(OutputError, match="exists and is not empty"):
        train(config, QUIET)

    assert [path.name for path in output.iterdir()] == ["notes.txt"]


def test_an_output_that_is_a_file_is_refused(config: TrainingConfig) -> None:
    Path(config.output).touch()

    with pytest.raises(OutputError, match="exists and is not empty"):
        train(config, QUIET)


def test_an_output_where_no_folder_can_be_is_refused(config: TrainingConfig) -> None:
    Path(config.output).touch()

    with pytest.raises(OutputError, match="cannot make the output folder"):
        train(replace(config, output=f"{config.output}/deeper"), QUIET)


def test_a_full_disk_is_told(config: TrainingConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    for write in ("write_text", "write_bytes"):
        monkeypatch.setattr(Path, write, full)

    with pytest.raises(OutputError, match=r"config.yaml could not be .*No space left on device"):
        train(config, QUIET)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_that_is_not_there_is_refused(config: TrainingConfig, split: str) -> None:
    data = replace(config.data, **{split: "nobody"})  # type: ignore[arg-type]

    with pytest.raises(DatasetError, match="no split 'nobody'"):
        train(replace(config, data=data), QUIET)


def test_a_run_that_cannot_start_leaves_no_folder(config: TrainingConfig) -> None:
    with pytest.raises(ConfigurationError, match="no stage to train"):
        train(with_stages(config, epochs=0), QUIET)

    assert not Path(config.output).exists()


def test_an_interrupted_run_leaves_the_finished_stages_and_no_model(
    config: TrainingConfig,
) -> None:
    def interrupt(moment: Moment) -> None:
        if moment.stage == "local":
            raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(config, Watchers(interrupt))

    output = Path(config.output)
    assert signal.getsignal(signal.SIGINT) is handler
    assert not (output / "model").exists()
    assert [path.name for path in (output / "stages").iterdir()] == ["context"]


def test_lightning_says_nothing_to_our_users(
    config: TrainingConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    train(config, QUIET)

    assert capfd.readouterr() == ("", "")


def test_images_smaller_than_a_patch_train(tmp_path: Path) -> None:
    counts = {"train": 1, "validation": 1}
    data = write_dataset(tmp_path / "data", SceneSettings(Size(66, 80)), counts).root
    config = tiny_config(data, tmp_path / "run")
    framing = replace(config.framing, patch_size=70, reduction=2, overlap=0)
    train(replace(config, framing=framing), QUIET)

    assert_same_weights(tmp_path / "run" / "model", tmp_path / "run" / "stages" / "refined")


def test_steps_are_told_one_by_one(config: TrainingConfig) -> None:
    told: list[tuple[str, int, int]] = []

    train(with_stages(config, epochs=2), Watchers(lambda _: None, lambda *of: told.append(of)))

    steps = [of for of in told if of[0] in {"context", "local", "refined"}]
    assert steps == [
        (name, done, total)
        for name, total in (("context", 2), ("local", 4), ("refined", 4))
        for done in range(1, total + 1)
    ]


def test_classes_that_training_never_shows_are_noted(tmp_path: Path) -> None:
    scenes = write_scenes(tmp_path / "data")
    names = [of.name for of in scenes.description.classes]
    for sample in scenes.split("train"):
        assert sample.mask is not None
        labels = np.array(Image.open(sample.mask))
        Image.fromarray(np.where(labels == 4, 0, labels)).save(sample.mask)
    notes: list[str] = []

    config = tiny_config(scenes.root, tmp_path / "run", "global only")
    train(config, Watchers(lambda _: None, note=notes.append))

    assert notes == [
        f"no pixel of the training split is {names[4]}: what never occurs cannot be learnt"
    ]


def test_nothing_is_noted_where_all_classes_occur(config: TrainingConfig) -> None:
    notes: list[str] = []

    train(with_stages(config, "context"), Watchers(lambda _: None, note=notes.append))

    assert notes == []


def test_the_best_epochs_weights_are_kept_where_they_are_asked_for(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The validation score is made up, so that the second of four epochs is the best."""
    scores = iter([0.2, 0.8, 0.8, 0.5])
    seen: list[dict[str, torch.Tensor]] = []
    validated = Figures.validate

    def validate(self: Figures, loss: float, _: float) -> None:
        validated(self, loss, next(scores))

    def remember(moment: Moment) -> None:
        assert moment.mean_iou is not None
        seen.append({name: of.clone() for name, of in modules[0].network.state_dict().items()})

    modules: list[StageModule] = []
    made = StageModule.__init__

    def make(self: StageModule, *of: object) -> None:
        made(self, *of)  # type: ignore[arg-type]
        modules.append(self)

    monkeypatch.setattr(Figures, "validate", validate)
    monkeypatch.setattr(StageModule, "__init__", make)

    best = with_run(with_stages(config, "context", epochs=4), weights="best", validate_every=1)
    train(best, Watchers(remember))

    kept = weights(Path(config.output) / "model")
    same = [all(torch.equal(of[name], kept[name]) for name in kept) for of in seen]
    assert same == [False, True, False, False]


def test_a_run_goes_on_from_anothers_context_stage(config: TrainingConfig, tmp_path: Path) -> None:
    train(with_stages(config, "context"), QUIET)
    moments: list[Moment] = []
    given = Path(config.output) / "stages" / "context"
    second = replace(config, output=str(tmp_path / "second"), start_from=str(given))

    train(with_run(second, seed=5), Watchers(moments.append))

    assert [of.stage for of in moments] == ["local", "refined"]
    stages = tmp_path / "second" / "stages"
    assert sorted(path.name for path in stages.iterdir()) == ["local", "refined"]
    for folder in (stages / "local", stages / "refined", tmp_path / "second" / "model"):
        assert_same_weights(given, folder, "context.")


def test_the_model_is_as_far_as_it_was_trained(config: TrainingConfig) -> None:
    train(with_stages(config, "context", "local"), QUIET)

    network = load_model(Path(config.output) / "model").network
    assert network.refined is None
    assert network.local is not None
    assert_same_weights(Path(config.output) / "model", Path(config.output) / "stages" / "local")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_that_read_end_with_their_stage(config: TrainingConfig) -> None:
    seen: list[int] = []
    several = replace(config, data=replace(config.data, workers=1))

    train(several, Watchers(lambda _: seen.append(len(multiprocessing.active_children()))))

    assert seen == [2] * 3  # one for training, one for validation
    assert multiprocessing.active_children() == []
