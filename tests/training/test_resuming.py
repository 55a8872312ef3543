"""A killed run ends bitwise where it would have ended anyway; what cannot go on is refused."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from glnet.errors import CheckpointError, ConfigurationError, OutputError
from glnet.training.boxes import PREDICTING
from glnet.training.config import CoarseToFineTraining, TrainingConfig
from glnet.training.keeping import read_checkpoint
from glnet.training.resuming import MAY_DIFFER, plain
from glnet.training.run import Watchers, train, train_and_evaluate
from tests.training.boxed_run import write_spots
from tests.training.killed_run import (
    Moment,
    after_step,
    before_saving,
    half_way_through_writing,
    run_until,
)
from tests.training.tiny_run import (
    QUIET,
    assert_same_weights,
    tiny_config,
    weights,
    with_run,
    with_stages,
    write_scenes,
)

pytestmark = [
    pytest.mark.usefixtures("undrawn"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

TRAIN = 3
"""Images, and so steps in an epoch; every stage has two epochs."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("data"), train=TRAIN).root


def config_in(folder: Path, data: Path) -> TrainingConfig:
    """All that could depend on what came before: luck, light, best weights, a falling rate."""
    config = with_stages(tiny_config(data, folder), epochs=2, images=1, micro_batch=1)
    config = replace(config, follow=replace(config.follow, pictures=0))
    settings = replace(config.data, photometric=0.2, foreground=0.5)
    run = replace(config.run, checkpoint_minutes=0.0, validate_every=2, weight_decay=1e-3)
    return replace(config, data=settings, run=run)


@pytest.fixture(scope="module")
def undisturbed(undrawn: None, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a run that nothing stopped."""
    del undrawn
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    train(config_in(folder, data), QUIET)
    return folder / "model"


@pytest.fixture
def config(data: Path, tmp_path: Path) -> TrainingConfig:
    return config_in(tmp_path / "run", data)


MOMENTS: dict[str, list[Moment]] = {
    "at the first step": [after_step("context", 1)],
    "inside the second epoch": [after_step("context", 5)],
    "at a stage's last step": [after_step("context", 6)],
    "before a stage's model is written": [before_saving("context")],
    "inside the local stage": [after_step("local", 5)],
    "inside the refined stage, twice": [after_step("refined", 3), after_step("refined", 5)],
    "before the last model is written": [before_saving("model")],
    "while a checkpoint is written": [half_way_through_writing(4)],
}


@pytest.mark.parametrize("when", MOMENTS)
def test_a_killed_run_ends_where_an_undisturbed_one_does(
    when: str, config: TrainingConfig, undisturbed: Path
) -> None:
    for number, moment in enumerate(MOMENTS[when]):
        run_until(moment, config, resume=number > 0)

    train(config, QUIET, resume=True)

    assert_same_weights(Path(config.output) / "model", undisturbed)


@pytest.fixture(scope="module")
def spots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_spots(tmp_path_factory.mktemp("spots") / "data", train=TRAIN).root


def boxed_in(folder: Path, spots: Path) -> TrainingConfig:
    """Coarse-to-fine, with all that could depend on what came before."""
    config = config_in(folder, spots)
    context = replace(config.stages.context, start="coarse")
    how = CoarseToFineTraining(boxes="each", jitter=0.2)
    stages = replace(config.stages, context=context)
    return replace(config, stages=stages, coarse_to_fine=how)


@pytest.fixture(scope="module")
def undisturbed_boxed(undrawn: None, spots: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a coarse-to-fine run."""
    del undrawn
    folder = tmp_path_factory.mktemp("undisturbed_boxed") / "run"
    train(boxed_in(folder, spots), QUIET)
    return folder / "model"


BOXED_MOMENTS: dict[str, list[Moment]] = {
    "inside the coarse stage": [after_step("coarse", 5)],
    "before the coarse stage's model is written": [before_saving("coarse")],
    "while boxes are predicted, and inside the context stage": [
        after_step(PREDICTING, 2),
        after_step("context", 5),
    ],
    "inside the local stage": [after_step("local", 5)],
    "inside the refined stage": [after_step("refined", 5)],
}


@pytest.mark.parametrize("when", BOXED_MOMENTS)
def test_a_killed_coarse_to_fine_run_ends_where_an_undisturbed_one_does(
    when: str, spots: Path, tmp_path: Path, undisturbed_boxed: Path
) -> None:
    config = boxed_in(tmp_path / "run", spots)
    for number, moment in enumerate(BOXED_MOMENTS[when]):
        run_until(moment, config, resume=number > 0)

    train(config, QUIET, resume=True)

    assert_same_weights(tmp_path / "run" / "model", undisturbed_boxed)


def test_another_rule_of_boxes_is_another_configuration(spots: Path, tmp_path: Path) -> None:
    config = boxed_in(tmp_path / "run", spots)
    _begun(config)
    other = replace(config, coarse_to_fine=CoarseToFineTraining(boxes="each"))

    with pytest.raises(ConfigurationError, match=r"coarse_to_fine.jitter was 0.2, is now 0.1"):
        train(other, QUIET, resume=True)
    with pytest.raises(ConfigurationError, match=r"coarse_to_fine was .*, is now None"):
        train(replace(config, coarse_to_fine=None), QUIET, resume=True)


def test_a_kill_in_an_epoch_costs_the_steps_since_the_checkpoint_only(
    config: TrainingConfig,
) -> None:
    run_until(after_step("context", 5), config)
    done: list[int] = []

    def steps(phase: str, number: int, _: int) -> None:
        if phase == "context":
            done.append(number)

    train(config, Watchers(lambda _: None, steps), resume=True)

    assert done == [5, 6]


def test_without_a_checkpoint_yet_a_stage_begins_anew(
    config: TrainingConfig, undisturbed: Path
) -> None:
    rare = with_run(config, checkpoint_minutes=1e6)
    run_until(after_step("local", 4), rare)
    assert not (Path(config.output) / "checkpoints" / "local").exists()

    train(rare, QUIET, resume=True)

    assert_same_weights(Path(config.output) / "model", undisturbed)


def test_a_stage_that_looks_at_validation_rarely_keeps_to_it_after_a_kill(
    config: TrainingConfig,
) -> None:
    """Else the best weights would be those of an epoch that an undisturbed run never looked at."""
    run_until(after_step("context", 3), config)
    scores: list[float | None] = []

    train(config, Watchers(lambda moment: scores.append(moment.mean_iou)), resume=True)

    assert [score is None for score in scores] == [True, False] * 3


def test_the_best_weights_survive_a_kill(data: Path, tmp_path: Path) -> None:
    def best_of(name: str) -> TrainingConfig:
        config = with_stages(config_in(tmp_path / name, data), "context", epochs=3, images=1)
        return with_run(config, weights="best", validate_every=1)

    train(best_of("undisturbed"), QUIET)
    run_until(after_step("context", 8), best_of("killed"))

    train(best_of("killed"), QUIET, resume=True)

    assert_same_weights(tmp_path / "killed" / "model", tmp_path / "undisturbed" / "model")


def test_a_run_with_reading_processes_goes_on_the_same(
    config: TrainingConfig, undisturbed: Path
) -> None:
    several = replace(config, data=replace(config.data, workers=1))
    run_until(after_step("local", 4), several)

    train(several, QUIET, resume=True)

    assert_same_weights(Path(config.output) / "model", undisturbed)


def test_another_micro_batch_goes_on_nearly_the_same_with_running_statistics(
    config: TrainingConfig, tmp_path: Path
) -> None:
    def running(folder: Path, micro_batch: int) -> TrainingConfig:
        of = with_stages(config, "context", "local", micro_batch=micro_batch)
        return with_run(replace(of, output=str(folder)), batch_statistics="running")

    train(running(tmp_path / "undisturbed", 1), QUIET)
    run_until(after_step("local", 4), running(tmp_path / "killed", 1))

    train(running(tmp_path / "killed", 2), QUIET, resume=True)

    ours, theirs = (weights(tmp_path / name / "model") for name in ("killed", "undisturbed"))
    for name, of in theirs.items():
        torch.testing.assert_close(ours[name], of, rtol=1e-3, atol=1e-4)


def test_a_finished_run_is_not_trained_again(config: TrainingConfig) -> None:
    short = with_stages(config, epochs=1)
    train_and_evaluate(short, QUIET)
    before = (Path(config.output) / "run.json").read_text()
    notes: list[str] = []

    result = train_and_evaluate(
        short,
        Watchers(lambda _: pytest.fail("an epoch has been trained"), note=notes.append),
        resume=True,
    )

    assert result is not None
    assert result.evaluation.images == 1
    assert notes == [f"stage {name} is done already" for name in ("context", "local", "refined")]
    assert (Path(config.output) / "run.json").read_text() == before


@pytest.mark.parametrize("is_there", [False, True])
def test_nothing_to_go_on_from_is_a_beginning(config: TrainingConfig, is_there: bool) -> None:
    if is_there:
        Path(config.output).mkdir()

    train(with_stages(config, "context", epochs=1), QUIET, resume=True)

    assert (Path(config.output) / "model").is_dir()


def _begun(config: TrainingConfig) -> None:
    """The folder of a run that was killed early."""
    folder = Path(config.output)
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(plain(config)))


def test_another_configuration_is_refused_with_what_differs(config: TrainingConfig) -> None:
    _begun(config)
    other = with_run(replace(config, framing=replace(config.framing, overlap=8)), seed=3)

    with pytest.raises(
        ConfigurationError,
        match=r"framing.overlap was 16, is now 8; run.seed was 0, is now 3; give the values it",
    ):
        train(other, QUIET, resume=True)


def test_what_the_machine_can_hold_may_differ(config: TrainingConfig, data: Path) -> None:
    _begun(config)
    moved = shutil.copytree(data, Path(config.output).with_name("moved"))
    other = with_run(
        replace(
            with_stages(config, micro_batch=2),
            data=replace(config.data, folder=str(moved), workers=0, cache_mib=1),
        ),
        patch_batch=1,
        checkpoint_minutes=5.0,
    )

    train(other, QUIET, resume=True)

    assert {"data.folder", "stages.local.micro_batch"} <= set(MAY_DIFFER)


def _no_yaml(folder: Path) -> None:
    (folder / "config.yaml").write_text("{")


def _no_keys(folder: Path) -> None:
    (folder / "config.yaml").write_text("hello")


def _no_config(folder: Path) -> None:
    (folder / "notes.txt").touch()


@pytest.mark.parametrize("make", [_no_yaml, _no_keys, _no_config])
def test_a_folder_that_is_no_run_is_refused(
    make: Callable[[Path], None], config: TrainingConfig
) -> None:
    folder = Path(config.output)
    folder.mkdir()
    make(folder)

    with pytest.raises(OutputError, match="holds no run that could go on"):
        train(config, QUIET, resume=True)


def test_a_file_where_the_run_should_be_is_refused(config: TrainingConfig) -> None:
    Path(config.output).touch()

    with pytest.raises(OutputError, match="holds no run that could go on"):
        train(config, QUIET, resume=True)


def test_a_run_begun_twice_is_refused_with_the_way_to_go_on(config: TrainingConfig) -> None:
    _begun(config)

    with pytest.raises(OutputError, match=r"is not empty; .*; go on with it by --resume"):
        train(config, QUIET)


def test_a_stage_that_was_damaged_is_named(config: TrainingConfig) -> None:
    train(with_stages(config, "context", epochs=1), QUIET)
    stage = Path(config.output) / "stages" / "context" / "model.safetensors"
    stage.write_bytes(stage.read_bytes()[:100])

    with pytest.raises(CheckpointError, match="stages/context"):
        train(with_stages(config, "context", epochs=1), QUIET, resume=True)


def test_checkpoints_hold_the_place_in_the_stage(config: TrainingConfig) -> None:
    run_until(after_step("context", 5), config)

    kept = read_checkpoint(Path(config.output) / "checkpoints" / "context" / "last.ckpt")

    assert (kept["epoch"], kept["global_step"]) == (1, 4)
