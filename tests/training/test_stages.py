from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from glnet.data import SegmentationFolder
from glnet.evaluation.confusion import Confusion
from glnet.training.config import RunConfig, Schedule, StageConfig
from glnet.training.stages import StageModule
from tests.model.tiny import tiny_model
from tests.training.looks import STEPS, look_at
from tests.training.tiny_run import write_scenes

STAGE = StageConfig(epochs=1, learning_rate=0.5)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> SegmentationFolder:
    return write_scenes(tmp_path_factory.mktemp("scenes"))


def module_for(name: str, run: RunConfig | None = None) -> StageModule:
    return StageModule(STEPS[name](tiny_model().network), STAGE, run or RunConfig())


class Trainer:
    """As much of Lightning's as the schedule asks for."""

    estimated_stepping_batches = 4


def rates(schedule: Schedule, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    module = module_for("context", RunConfig(schedule=schedule))
    monkeypatch.setattr(StageModule, "trainer", Trainer(), raising=False)
    made: Any = module.configure_optimizers()
    seen = []
    for _ in range(5):
        seen.append(made["optimizer"].param_groups[0]["lr"])
        made["optimizer"].step()
        if "lr_scheduler" in made:
            made["lr_scheduler"]["scheduler"].step()
    return seen


def test_the_polynomial_rate_falls_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [0.5 * (1 - step / 4) ** 0.9 for step in range(5)]

    assert rates("polynomial", monkeypatch) == pytest.approx(expected)


def test_the_constant_rate_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rates("constant", monkeypatch) == [0.5] * 5


@pytest.mark.parametrize("name", STEPS)
def test_the_optimiser_has_what_is_trained(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_for(name, RunConfig(weight_decay=0.25))
    monkeypatch.setattr(StageModule, "trainer", Trainer(), raising=False)
    made: Any = module.configure_optimizers()

    (group,) = made["optimizer"].param_groups

    learning = {id(of) for of in module.network.parameters() if of.requires_grad}
    assert {id(of) for of in group["params"]} == learning
    assert group["weight_decay"] == 0.25
    assert group["betas"] == (0.9, 0.999)


@pytest.mark.parametrize("name", STEPS)
def test_only_what_is_trained_is_in_training_mode(name: str) -> None:
    module = module_for(name)

    module.on_train_epoch_start()

    training = {id(of) for of in module.network.modules() if of.training}
    assert training == {id(of) for of in module.trained.modules()} - {id(module.trained)}
    module.on_validation_epoch_start()
    assert not any(of.training for of in module.network.modules())


def test_validation_counts_the_stages_answer(
    scenes: SegmentationFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = module_for("local")
    looks = [look_at(tiny_model(), scenes)] * 2
    logged: dict[str, float] = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: value}))

    module.on_validation_epoch_start()
    with torch.no_grad():
        module.validation_step(looks, 0)
        module.on_validation_epoch_end()

        logits, labels = module.step.answer(looks[0])
    answered = functional.interpolate(logits, labels.shape[-2:], mode="bilinear").argmax(1)
    counted = Confusion(3)
    counted.add(answered.numpy(), labels.numpy())
    assert module.confusion is not None
    np.testing.assert_array_equal(module.confusion.counts, 2 * counted.counts)
    assert logged == {"validation/miou": pytest.approx(counted.mean_iou)}


def test_nothing_validated_logs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_for("local")
    monkeypatch.setattr(module, "log", lambda *_, **__: pytest.fail("nothing was counted"))

    module.on_validation_epoch_start()
    module.on_validation_epoch_end()
