"""What is learnt does not depend on how many patches run at once: gradients add up exactly."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from glnet.data import Sample
from glnet.geometry import Size
from glnet.training.config import LossConfig, RunConfig
from glnet.training.portions import Portion
from glnet.training.steps import Losses, Objective, Step
from glnet.training.tasks import Choice
from tests.model.tiny import tiny_model
from tests.training.looks import (
    STEPS,
    PlainBackward,
    Source,
    chosen,
    gradients,
    module_for,
    portions_of,
    see_all,
    write_speckled,
)
from tests.training.plain_steps import Seen, plain_loss

ALL = 1000
TOLERANCE = 1e-5
LOSS = LossConfig(gamma=2.0, auxiliary=0.5, regularization=0.25)
CLASS_WEIGHTS = torch.tensor([0.5, 2.0, 3.0])

LOSSES = {
    "plain": Objective(loss=replace(LOSS, regularization=0.0)),
    "euclidean": Objective(loss=LOSS, class_weights=CLASS_WEIGHTS),
    "mean squared": Objective(
        loss=replace(LOSS, regularization_norm="mean_squared"), class_weights=CLASS_WEIGHTS
    ),
}


class Learnt(NamedTuple):
    """What a step came to."""

    losses: Losses
    gradients: dict[str, Tensor]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Two images of 9 and 4 patches: no number of patches at once divides both."""
    small = write_speckled(tmp_path_factory.mktemp("small"), 1, Size(96, 112))
    _, large = write_speckled(tmp_path_factory.mktemp("large"), 2, Size(136, 140))
    return [large, *small]


def held_step(name: str, objective: Objective) -> Step:
    """A step on a network whose batch normalisation keeps its statistics."""
    model = tiny_model()
    module = module_for(name, model, RunConfig(batch_statistics="running"))
    module.hold()
    return STEPS[name](model.network, objective)


def learnt(
    name: str, samples: list[Sample], objective: Objective, patches: int, micro_batch: int
) -> Learnt:
    step = held_step(name, objective)
    source = Source(tiny_model(), samples)
    portions = portions_of(name, source, chosen(name, patches, micro_batch))
    return Learnt(see_all(step, portions, PlainBackward()).losses, gradients(step))


def plainly(name: str, samples: list[Sample], objective: Objective, patches: int) -> Learnt:
    step = held_step(name, objective)
    source = Source(tiny_model(), samples)
    whole = portions_of(name, source, Choice(patches=patches, micro_batch=ALL))
    every = portions_of(name, source, Choice(micro_batch=ALL))
    images = _of_thumbnails(whole[0]) if name == "context" else _of_patches(whole, every)
    loss = plain_loss(name, step.network, images, objective.loss, objective.class_weights)
    loss.backward()  # type: ignore[no-untyped-call]
    return Learnt({"all": loss.detach()}, gradients(step))


def _of_thumbnails(portion: Portion) -> list[Seen]:
    assert portion.thumbnails is not None
    none = torch.empty(0)
    looks = portion.task.looks
    return [
        Seen(pixels, labels, look.grid, [], none, none, none)
        for pixels, labels, look in zip(*portion.thumbnails, looks, strict=True)
    ]


def _of_patches(whole: list[Portion], every: list[Portion]) -> list[Seen]:
    images = []
    for portion, all_of_it in zip(whole, every, strict=True):
        assert portion.opening is not None
        assert portion.opening.thumbnail is not None
        assert portion.pixels is not None
        assert portion.labels is not None
        assert all_of_it.pixels is not None
        images.append(
            Seen(
                *portion.opening.thumbnail,
                portion.task.look.grid,
                list(portion.task.places),
                portion.pixels,
                portion.labels,
                all_of_it.pixels,
            )
        )
    return images


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert set(ours) == set(theirs)
    largest = max(float(of.abs().max()) for of in theirs.values())
    for name, of in theirs.items():
        torch.testing.assert_close(
            ours[name],
            of,
            rtol=0,
            atol=TOLERANCE * largest,
            msg=f"{name} differs by {float((ours[name] - of).abs().max())}, largest {largest}",
        )


CASES = [
    (name, kind, patches)
    for name in STEPS
    for kind in LOSSES
    for patches in (0, 3)
    if (name == "local" or kind != "mean squared") and (name != "context" or not patches)
]


@pytest.mark.parametrize(("name", "kind", "patches"), CASES)
def test_gradients_are_those_of_all_patches_at_once_in_one_graph(
    name: str, kind: str, patches: int, samples: list[Sample]
) -> None:
    expected = plainly(name, samples, LOSSES[kind], patches)

    for micro_batch in (1, 2, 3, 5):
        ours = learnt(name, samples, LOSSES[kind], patches, micro_batch)

        assert len(expected.gradients) > 20
        assert_same(ours.gradients, expected.gradients)
        total = torch.stack(list(ours.losses.values())).sum()
        torch.testing.assert_close(total, expected.losses["all"], rtol=TOLERANCE, atol=0)


def test_a_refined_step_keeps_fused_maps_only_where_all_patches_run_at_once(
    samples: list[Sample],
) -> None:
    source = Source(tiny_model(), samples)

    def read_again(micro_batch: int) -> bool:
        portions = portions_of("refined", source, chosen("refined", 3, micro_batch))
        learning = [of for of in portions if of.task.purpose == "learn"]
        assert len(learning) == 2 * -(-3 // micro_batch)
        return any(of.pixels is not None for of in learning)

    assert [read_again(micro_batch) for micro_batch in (1, 2, 3, 5)] == [True, True, False, False]


@cache
def _scaled_gradients(scale: float, folder: Path) -> dict[str, Tensor]:
    """Of a refined step whose backward pass multiplies, as half precision wants it."""

    class Scaled(PlainBackward):
        def __call__(self, loss: Tensor) -> None:
            super().__call__(loss * scale)

    step = held_step("refined", LOSSES["euclidean"])
    backward = Scaled()
    backward.scale = scale
    portions = portions_of(
        "refined", Source(tiny_model(), write_speckled(folder, 1)), chosen("refined", 0, 2)
    )
    see_all(step, portions, backward)
    return {name: of / scale for name, of in gradients(step).items()}


def test_a_scaled_backward_pass_gives_gradients_of_that_scale_everywhere(tmp_path: Path) -> None:
    assert_same(_scaled_gradients(1024.0, tmp_path), _scaled_gradients(1.0, tmp_path))
