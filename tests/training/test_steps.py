from typing import Any

import pytest
import torch
from torch import Tensor

from glnet.data import SegmentationFolder
from glnet.geometry import PatchGrid
from glnet.inference.streaming import Answer
from glnet.model.exchange import Exchange
from glnet.model.glnet import GLNet
from glnet.training.config import LossConfig, RunConfig, StageConfig
from glnet.training.losses import feature_distance, focal_loss
from glnet.training.samples import Choice
from glnet.training.stages import StageModule
from glnet.training.steps import (
    LocalStep,
    RefinedStep,
)
from tests.model.tiny import tiny_model
from tests.training.looks import (
    LOSS,
    STEPS,
    assert_near,
    descend,
    look_at,
    part_for,
    predicted,
    stitched,
    stretched,
)
from tests.training.tiny_run import write_scenes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> SegmentationFolder:
    return write_scenes(tmp_path_factory.mktemp("scenes"))


@pytest.mark.parametrize(
    "row", ["local only", "aggregation only", "shallow", "deep", "deep, not aggregated"]
)
def test_local_steps_answer_as_prediction_does(row: str, scenes: SegmentationFolder) -> None:
    model = tiny_model(row)
    look = look_at(model, scenes)

    with torch.no_grad():
        logits, labels = LocalStep(model.network, "exact", LOSS).answer(look)

    answer = Answer.LOCAL if model.network.aggregation is None else Answer.AGGREGATED
    assert_near(stitched(logits, look), predicted(model, scenes, answer))
    assert labels is look.patches.labels


@pytest.mark.parametrize("row", ["bidirectional", "bidirectional, shallow"])
def test_refined_steps_answer_as_prediction_does(row: str, scenes: SegmentationFolder) -> None:
    model = tiny_model(row)
    look = look_at(model, scenes)

    with torch.no_grad():
        logits, _ = RefinedStep(model.network, "exact", LOSS, 3).answer(look)

    expected = predicted(model, scenes, Answer.AGGREGATED)
    assert_near(stitched(logits, look), expected)


def test_context_steps_answer_as_prediction_does(scenes: SegmentationFolder) -> None:
    model = tiny_model("global only")
    look = look_at(model, scenes)

    with torch.no_grad():
        logits, _ = STEPS["context"](model.network).answer(part_for("context", look))

    expected = predicted(model, scenes, Answer.GLOBAL)
    assert_near(stretched(logits[0], look), expected)


def test_patches_anywhere_are_seen_as_those_of_a_grid(scenes: SegmentationFolder) -> None:
    model = tiny_model("deep")
    look = look_at(model, scenes)
    grid, places = look.patches.grid, look.patches.places
    rows = tuple(grid.rows[row] for row, _ in places)
    columns = tuple(grid.columns[column] for _, column in places)
    listed = look.patches._replace(
        grid=PatchGrid(grid.raster, grid.patch, rows, columns),
        places=[(k, k) for k in range(len(places))],
    )
    step = LocalStep(model.network, "exact", LOSS)

    with torch.no_grad():
        logits, _ = step.answer(look._replace(patches=listed))

        assert_near(logits, step.answer(look)[0])


@pytest.mark.parametrize("patch_batch", [1, 4, 100])
def test_gradients_do_not_depend_on_the_patch_batch(
    patch_batch: int, scenes: SegmentationFolder
) -> None:
    def gradients(batch: int) -> list[Tensor]:
        model = tiny_model()
        step = RefinedStep(model.network, "exact", LOSS, batch)
        StageModule(step, StageConfig(epochs=1, learning_rate=0.1), RunConfig())
        look = look_at(model, scenes, Choice(patches=2))
        descend(step, look)
        return [of.grad for part in step.trained for of in part.parameters() if of.grad is not None]

    expected = gradients(2)

    assert len(expected) > 50
    for ours, theirs in zip(gradients(patch_batch), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_local_losses_are_the_weighted_losses_of_its_answers(scenes: SegmentationFolder) -> None:
    model = tiny_model("deep")
    look = look_at(model, scenes)
    network: Any = model.network
    loss = LossConfig(gamma=3.0, auxiliary=0.5, regularization=0.25)

    with torch.no_grad():
        losses = LocalStep(network, "exact", loss).losses(look)

        exchange = Exchange(look.patches.grid, "exact")
        context = network.context(look.thumbnail.pixels[None])
        output = network.see_patches(
            look.patches.pixels, context.features, exchange, look.patches.places
        )
        heard = exchange.hear(context.fused, output.fused.shape, look.patches.places)
        aggregated = network.aggregation(output.fused, heard)
    labels = look.patches.labels
    expected = {
        "aggregated": focal_loss(aggregated, labels, 3.0),
        "local": 0.5 * focal_loss(output.logits, labels, 3.0),
        "regularization": 0.25 * feature_distance(output.fused, heard.resampled(), "euclidean"),
    }
    torch.testing.assert_close(losses, expected)


def test_without_its_weight_there_is_no_regularisation(scenes: SegmentationFolder) -> None:
    model = tiny_model("deep")
    step = LocalStep(model.network, "exact", LossConfig(regularization=0))

    assert set(step.losses(look_at(model, scenes))) == {"aggregated", "local"}


def test_a_local_branch_alone_has_its_own_loss(scenes: SegmentationFolder) -> None:
    model = tiny_model("local only")
    step = LocalStep(model.network, "exact", LossConfig(auxiliary=0.5, gamma=2.0))
    look = look_at(model, scenes)

    losses = step.losses(look)

    logits, labels = step.answer(look)
    torch.testing.assert_close(losses, {"local": focal_loss(logits, labels, 2.0)})


def test_refined_losses_are_those_of_the_new_global_and_aggregated_answers(
    scenes: SegmentationFolder,
) -> None:
    model = tiny_model()
    look = look_at(model, scenes)
    step = RefinedStep(model.network, "exact", LossConfig(gamma=2.0, auxiliary=0.5), 3)

    losses = step.losses(look)

    logits, labels = step.answer(look)
    assert set(losses) == {"aggregated", "global"}
    torch.testing.assert_close(losses["aggregated"], focal_loss(logits, labels, 2.0))
    doubled = RefinedStep(model.network, "exact", LossConfig(gamma=2.0, auxiliary=1.0), 3)
    torch.testing.assert_close(doubled.losses(look)["global"], 2 * losses["global"])


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("context", "local only", "context branch"),
        ("local", "global only", "local branch"),
        ("refined", "deep", "refined branch"),
    ],
)
def test_a_network_without_the_branch_is_refused(name: str, row: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"needs a network that has its {message}"):
        STEPS[name](tiny_model(row).network)


def test_a_refined_branch_without_aggregation_is_refused() -> None:
    network = tiny_model().network

    with pytest.raises(ValueError, match="needs a network that has its aggregation layer"):
        STEPS["refined"](GLNet(network.context, network.local, network.refined, None))


def test_a_refined_branch_without_context_is_refused(scenes: SegmentationFolder) -> None:
    model = tiny_model()
    network = model.network
    step = STEPS["refined"](GLNet(None, network.local, network.refined, network.aggregation))

    with pytest.raises(ValueError, match="needs a context branch"):
        step.losses(look_at(model, scenes))
