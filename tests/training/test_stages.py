"""A stage's module: what it optimises, at which rate, in which mode, and what it counts."""

import copy
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from glnet.data import Sample
from glnet.evaluation.confusion import Confusion
from glnet.model.checkpoint import Model
from glnet.training.choices import Schedule
from glnet.training.config import RunConfig
from glnet.training.progress import Figures, Moment, StageProgress
from glnet.training.stages import Feeds, StageModule
from glnet.training.tasks import Choice
from tests.model.tiny import tiny_model
from tests.training.looks import (
    CPU,
    OBJECTIVE,
    STAGE,
    STEPS,
    Source,
    answers,
    chosen,
    feed,
    gradients,
    module_for,
    portions_of,
    see_all,
    write_speckled,
)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return write_speckled(tmp_path_factory.mktemp("speckled"), 3)


def fed(
    name: str, model: Model, samples: list[Sample], run: RunConfig | None = None
) -> StageModule:
    """A module with one step per epoch, and all images to validate on."""
    source = Source(model, samples)
    choice = chosen(name, 3, 2)
    feeds = Feeds(feed(name, source, choice), feed(name, source, choice), 3)
    return module_for(name, model, run, feeds)


def rates(schedule: Schedule, samples: list[Sample]) -> list[float]:
    module = fed("context", tiny_model(), samples, RunConfig(schedule=schedule))
    made: Any = module.configure_optimizers()
    seen = []
    for _ in range(module.total_steps + 1):
        seen.append(made["optimizer"].param_groups[0]["lr"])
        made["optimizer"].step()
        if "lr_scheduler" in made:
            made["lr_scheduler"]["scheduler"].step()
    return seen


def test_the_polynomial_rate_falls_to_nothing(samples: list[Sample]) -> None:
    expected = [0.5 * (1 - step / 2) ** 0.9 for step in range(3)]

    assert rates("polynomial", samples) == pytest.approx(expected)


def test_the_constant_rate_stays(samples: list[Sample]) -> None:
    assert rates("constant", samples) == [0.5] * 3


@pytest.mark.parametrize("name", STEPS)
def test_the_optimiser_has_what_is_trained(name: str, samples: list[Sample]) -> None:
    module = fed(name, tiny_model(), samples, RunConfig(weight_decay=0.25))
    made: Any = module.configure_optimizers()

    (group,) = made["optimizer"].param_groups

    learning = {id(of) for of in module.network.parameters() if of.requires_grad}
    assert {id(of) for of in group["params"]} == learning
    assert group["weight_decay"] == 0.25
    assert group["betas"] == (0.9, 0.999)


@pytest.mark.parametrize("name", STEPS)
def test_only_what_is_trained_is_in_training_mode(name: str) -> None:
    module = module_for(name, tiny_model())

    module.hold()

    training = {id(of) for of in module.network.modules() if of.training}
    assert training == {id(of) for of in module.trained.modules()} - {id(module.trained)}
    module.on_validation_epoch_start()
    assert not any(of.training for of in module.network.modules())


@pytest.mark.parametrize("name", STEPS)
def test_statistics_that_shall_stay_are_in_evaluation_mode(name: str) -> None:
    module = module_for(name, tiny_model(), RunConfig(batch_statistics="running"))

    module.hold()

    norms = [of for of in module.network.modules() if isinstance(of, _BatchNorm)]
    assert norms
    assert not any(of.training for of in norms)
    assert all(of.training for of in module.trained)


def trainer(module: StageModule, folder: Path, epochs: int, *callbacks: Any) -> None:  # noqa: ANN401
    """Lightning, as `run.py` uses it."""
    made = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        callbacks=list(callbacks),
        default_root_dir=folder,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    made.fit(module, range(module.feeds.training.plan.steps), range(1))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", STEPS)
def test_an_optimiser_step_is_that_of_the_sum_of_its_portions(
    name: str, samples: list[Sample], tmp_path: Path
) -> None:
    """Against Adam on gradients of an untouched copy; batch normalisation keeps its statistics."""
    run = RunConfig(batch_statistics="running", schedule="constant", weight_decay=0.1)
    module = fed(name, tiny_model(), samples, run)
    copied = copy.deepcopy(module)

    trainer(module, tmp_path, 1)

    copied.hold()
    optimizer = torch.optim.Adam(copied.trained.parameters(), lr=0.5, weight_decay=0.1)
    portions = portions_of(name, Source(tiny_model(), samples), chosen(name, 3, 2))
    losses = see_all(copied.step, portions, _Plainly()).losses
    optimizer.step()
    expected = copied.network.state_dict()
    for key, of in module.network.state_dict().items():
        torch.testing.assert_close(of, expected[key])
    assert module.figures.mean_losses == pytest.approx({k: float(v) for k, v in losses.items()})
    norm = torch.nn.utils.get_total_norm(list(gradients(copied.step).values()))
    assert module.figures.gradient_norms == [pytest.approx(float(norm), rel=1e-4)]
    assert module.figures.learning_rate == 0.5


class _Plainly:
    scale = 1.0

    def __call__(self, loss: torch.Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", STEPS)
def test_validation_counts_the_stages_own_answer_and_loss(
    name: str, samples: list[Sample], tmp_path: Path
) -> None:
    """After an epoch whose rate is nothing, so that the network is still the one it was."""
    model = tiny_model()
    module = fed(name, model, samples, RunConfig(batch_statistics="running"))
    module.stage = type(STAGE)(epochs=1, learning_rate=1e-30)
    step = STEPS[name](tiny_model().network, OBJECTIVE)

    trainer(module, tmp_path, 1)

    portions = portions_of(name, Source(model, samples), chosen(name, 3, 2))
    logits = answers(step, portions)
    seen = see_all(step, portions)
    enlarged = functional.interpolate(logits, seen.labels.shape[-2:], mode="bilinear")
    counted = Confusion(3)
    counted.add(enlarged.argmax(1).numpy(), seen.labels.numpy())
    assert module.figures.validation_miou == pytest.approx(counted.mean_iou)
    total = sum(float(of) for of in seen.losses.values())
    assert module.figures.validation_loss == pytest.approx(total, rel=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("epochs", "every", "looked_at"),
    [(5, 2, [2, 4, 5]), (4, 2, [2, 4]), (3, 5, [3]), (2, 1, [1, 2])],
)
def test_validation_comes_every_so_many_epochs_and_after_the_last(
    epochs: int, every: int, looked_at: list[int], samples: list[Sample], tmp_path: Path
) -> None:
    module = fed("context", tiny_model("global only"), samples, RunConfig(validate_every=every))
    module.stage = type(STAGE)(epochs=epochs, learning_rate=1e-3)
    moments: list[Moment] = []

    trainer(module, tmp_path, epochs, StageProgress("context", moments.append))

    assert [of.epoch for of in moments] == list(range(1, epochs + 1))
    assert [of.epoch for of in moments if of.mean_iou is not None] == looked_at


def test_figures_are_means_over_the_steps() -> None:
    figures = Figures()

    figures.add({"a": 1.0, "b": 2.0}, rate=0.5, norm=3.0)
    figures.add({"a": 3.0, "b": 2.0}, rate=0.25, norm=5.0)

    assert figures.mean_losses == {"a": 2.0, "b": 2.0}
    assert (figures.learning_rate, figures.gradient_norms) == (0.25, [3.0, 5.0])
    assert Figures().mean_losses == {}


def test_a_feed_gives_any_step_whatever_came_before(samples: list[Sample]) -> None:
    of = feed("local", Source(tiny_model(), samples), Choice(patches=2, flips=True))
    in_order = [list(of.step(epoch, 0, CPU)) for epoch in (0, 1, 2)]

    again = [list(of.step(epoch, 0, CPU)) for epoch in (2, 0, 1)]

    for ours, theirs in zip(again, (in_order[2], in_order[0], in_order[1]), strict=True):
        assert [one.task for one in ours] == [one.task for one in theirs]
        for one, other in zip(ours, theirs, strict=True):
            assert one.pixels is not None
            assert other.pixels is not None
            np.testing.assert_array_equal(one.pixels, other.pixels)
    assert of.waited_s > 0
