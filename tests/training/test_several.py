"""A run of several processes learns what one learns, whatever they share and whoever is lost."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from glnet.data import open_dataset
from glnet.geometry import Window
from glnet.training.agreeing import fewer_at_once
from glnet.training.boxes import BoxChoice, BoxDrawing, Drawn
from glnet.training.config import TrainingConfig
from glnet.training.following.history import read_history
from glnet.training.preparation import Setup
from glnet.training.run import train
from glnet.training.stages import StageModule
from tests.training.boxed_run import boxed_config, write_spots
from tests.training.killed_run import after_step, kill, run_until
from tests.training.several import together
from tests.training.tiny_run import (
    QUIET,
    tiny_config,
    weights,
    with_run,
    with_stages,
    write_scenes,
)

pytestmark = [
    pytest.mark.usefixtures("undrawn"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
    pytest.mark.skipif(not torch.distributed.is_available(), reason="torch has no processes here"),
]


def uneven(data: Path) -> None:
    """Cut one image and its mask, so that it has fewer patches than the others."""
    for name in ("images", "masks"):
        file = data / name / "train_0.png"
        Image.fromarray(np.asarray(Image.open(file))[:100, :90]).save(file)


def at_ease(config: TrainingConfig) -> TrainingConfig:
    """Whole grids, the paper's learning rate, and nothing but the rows of the history.

    Thumbnails run one by one, as two processes have one each.
    """
    config = with_stages(config, images=2, patches=0, micro_batch=4, learning_rate=1e-4)
    stages = config.stages
    coarse, context = (replace(of, micro_batch=1) for of in (stages.coarse, stages.context))
    config = replace(config, stages=replace(stages, coarse=coarse, context=context))
    follow = replace(config.follow, pictures=0, tensorboard=False)
    return replace(with_run(config, validate_every=1, checkpoint_minutes=0), follow=follow)


def elsewhere(config: TrainingConfig, folder: Path) -> TrainingConfig:
    return replace(config, output=str(folder))


def assert_alike(one: Path, other: Path) -> None:
    """Losses, scores and weights, up to the order of additions."""
    ours, theirs = (read_history(of / "history.csv") for of in (one, other))
    assert [(of.stage, of.epoch, of.step) for of in ours] == [
        (of.stage, of.epoch, of.step) for of in theirs
    ]
    for a, b in zip(ours, theirs, strict=True):
        assert sum(b.losses.values()) == pytest.approx(sum(a.losses.values()), rel=1e-4)
        assert b.validation_loss == pytest.approx(a.validation_loss, rel=1e-4)
        assert b.validation_miou == pytest.approx(a.validation_miou, abs=2e-3)
    expected = weights(one / "model")
    for name, of in weights(other / "model").items():
        torch.testing.assert_close(of, expected[name], rtol=1e-3, atol=1e-4)


def taken(folder: Path, taken_by: Callable[[BoxChoice, Drawn], None]) -> Any:  # noqa: ANN401
    """`BoxChoice.take_predicted` that also writes down what it is given."""

    def take(choice: BoxChoice, boxes: Drawn) -> None:
        (folder / str(os.getpid())).write_text(repr(sorted(boxes.items())))
        taken_by(choice, boxes)

    return take


def test_boxes_are_the_same_in_all_processes_which_learn_what_one_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three images of unequal size in steps of two: the second process has none in every other."""
    data = write_spots(tmp_path / "data", validation=3).root
    uneven(data)
    boxes = tmp_path / "boxes"
    boxes.mkdir()
    monkeypatch.setattr(BoxChoice, "take_predicted", taken(boxes, BoxChoice.take_predicted))
    alone = at_ease(boxed_config(data, tmp_path / "alone"))
    train(alone, QUIET)

    ends = together(tmp_path, lambda _: train(elsewhere(alone, tmp_path / "two"), QUIET))

    assert ends == [(0, ""), (0, "")]
    assert_alike(tmp_path / "alone", tmp_path / "two")
    seen = [of.read_text() for of in boxes.iterdir()]
    assert len(seen) == 3
    assert len(set(seen)) == 1


def test_a_box_is_the_same_also_where_two_machines_would_predict_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_spots(tmp_path / "data").root
    boxes = tmp_path / "boxes"
    boxes.mkdir()
    monkeypatch.setattr(BoxChoice, "take_predicted", taken(boxes, BoxChoice.take_predicted))
    predicted = BoxDrawing.around_predicted
    config = with_stages(boxed_config(data, tmp_path / "run", "global only"), epochs=1)

    def work(rank: int) -> None:
        def around_predicted(*of: Any) -> dict[str, tuple[Window, ...]]:  # noqa: ANN401
            drawn = predicted(*of)
            return {stem: boxes[rank:] for stem, boxes in drawn.items()}

        monkeypatch.setattr(BoxDrawing, "around_predicted", around_predicted)
        train(config, QUIET)

    assert together(tmp_path, work) == [(0, ""), (0, "")]
    first, second = (of.read_text() for of in boxes.iterdir())
    assert first == second
    assert first.count("train_") == 3


def test_a_run_that_lost_a_process_goes_on_with_one_and_then_with_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_scenes(tmp_path / "data", train=3).root
    config = with_stages(at_ease(tiny(data, tmp_path / "alone")), epochs=2, images=2, patches=2)
    train(config, QUIET)
    lossy = elsewhere(config, tmp_path / "lossy")
    move = StageModule.move

    def moved(module: StageModule, *of: Any) -> Any:  # noqa: ANN401
        if module.global_rank == 1 and module.global_step == 3:
            kill()
        return move(module, *of)

    def work(_: int) -> None:
        monkeypatch.setattr(StageModule, "move", moved)
        train(lossy, QUIET)

    ends = together(tmp_path, work)
    run_until(after_step("local", 1), lossy, resume=True)
    resumed = together(tmp_path, lambda _: train(lossy, QUIET, resume=True))

    assert os.WTERMSIG(ends[1].status) == signal.SIGKILL
    assert os.WEXITSTATUS(ends[0].status) == 1
    assert "LostProcessError" in ends[0].told
    assert resumed == [(0, ""), (0, "")]
    assert_alike(tmp_path / "alone", tmp_path / "lossy")


def tiny(data: Path, output: Path) -> TrainingConfig:
    return tiny_config(data, output, "deep")


def test_a_process_that_does_not_see_the_images_ends_all(tmp_path: Path) -> None:
    data = write_scenes(tmp_path / "data").root
    config = tiny(data, tmp_path / "run")
    nowhere = replace(config, data=replace(config.data, folder=str(tmp_path / "nowhere")))

    first, second = together(tmp_path, lambda rank: train([config, nowhere][rank], QUIET))

    assert first.told.startswith("TrainingError: process 2 of 2, on ")
    assert "nowhere does not exist; expected the folder of a dataset" in first.told
    assert second.told.startswith("SaidElsewhereError: ")
    assert not (tmp_path / "run").exists()


def test_a_process_that_sees_other_images_ends_all(tmp_path: Path) -> None:
    data, other = (write_scenes(tmp_path / name).root for name in ("data", "other"))
    file = sorted((other / "masks").iterdir())[0]
    mask = np.asarray(Image.open(file)).copy()
    mask[:] = mask[0, 0]
    Image.fromarray(mask).save(file)
    config = tiny(data, tmp_path / "run")
    strange = replace(config, data=replace(config.data, folder=str(other)))

    first, second = together(tmp_path, lambda rank: train([config, strange][rank], QUIET))

    assert first.told.startswith("DatasetError: process 2 of 2, on ")
    assert "sees other images" in first.told
    assert second.told.startswith("SaidElsewhereError: ")
    assert not (tmp_path / "run").exists()


def test_a_process_that_does_not_see_the_run_ends_all(tmp_path: Path) -> None:
    config = tiny(write_scenes(tmp_path / "data").root, tmp_path / "run")
    outputs = [config, elsewhere(config, tmp_path / "local_disk")]

    first, second = together(tmp_path, lambda rank: train(outputs[rank], QUIET))

    assert first.told.startswith("TrainingError: process 2 of 2, on ")
    assert "local_disk is not the first process's here" in first.told
    assert second.told.startswith("SaidElsewhereError: ")


def test_a_loss_that_runs_away_in_one_process_ends_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = at_ease(tiny(write_scenes(tmp_path / "data").root, tmp_path / "run"))
    check = StageModule._check

    def work(rank: int) -> None:
        def checked(module: StageModule, losses: dict[str, torch.Tensor], stems: Any) -> None:  # noqa: ANN401
            bad = {name: of * float("nan") for name, of in losses.items()}
            check(module, bad if rank == 1 else losses, stems)

        monkeypatch.setattr(StageModule, "_check", checked)
        train(config, QUIET)

    first, second = together(tmp_path, work)

    assert first.told.startswith("TrainingError: process 2 of 2, on ")
    assert "loss became nan at step 1" in first.told
    assert second.told.startswith("SaidElsewhereError: ")


def test_images_per_second_are_those_of_all_processes(tmp_path: Path) -> None:
    """Of three images, the first process has two."""
    data = write_scenes(tmp_path / "data", train=3).root
    config = with_stages(at_ease(tiny(data, tmp_path / "run")), "context", epochs=1, images=3)

    together(tmp_path, lambda _: train(config, QUIET))

    (of,) = read_history(tmp_path / "run" / "history.csv")
    assert of.images_per_second == pytest.approx(3 / of.seconds, rel=1e-3)


def test_a_user_hears_where_processes_run_fewer_thumbnails_at_once(tmp_path: Path) -> None:
    data = write_scenes(tmp_path / "data").root
    config = with_stages(tiny(data, tmp_path / "run"), images=6, micro_batch=6)
    context, local = Setup(config, open_dataset(str(data))).stages()
    by_three = replace(context, config=replace(context.config, micro_batch=3))
    running = with_run(config, batch_statistics="running")

    told = fewer_at_once(context, config, 2)

    assert told is not None
    assert "sees 3 at once, not 6; with stages.context.micro_batch: 3 one process" in told
    assert fewer_at_once(context, config, 1) is None
    assert fewer_at_once(by_three, config, 2) is None
    assert fewer_at_once(local, config, 2) is None
    assert fewer_at_once(context, running, 2) is None
