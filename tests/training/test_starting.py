"""Branches start where earlier stages ended; a stage's model is the network as far as trained."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glnet.data import Sample
from glnet.inference.streaming import Answer, answers_of
from glnet.model.checkpoint import Model, load_model, save_model
from glnet.model.exchange import Exchange
from glnet.model.glnet import GLNet
from glnet.training.portions import Portion
from glnet.training.starting import as_trained, start_aggregation, start_branch
from tests.model.tiny import tiny_model
from tests.training.looks import (
    OBJECTIVE,
    STEPS,
    PlainBackward,
    Source,
    answers,
    assert_near,
    chosen,
    portions_of,
    predicted,
    see_all,
    stretched,
    write_speckled,
)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return write_speckled(tmp_path_factory.mktemp("speckled"))[0]


def whole(name: str, model: Model, sample: Sample) -> list[Portion]:
    """All of an image, as a stage sees it, at once."""
    return portions_of(name, Source(model, [sample]), chosen(name, 0, 100))


def thumbnail_of(portion: Portion) -> Tensor:
    assert portion.opening is not None
    assert portion.opening.thumbnail is not None
    return portion.opening.thumbnail.pixels[None]


@pytest.mark.parametrize("row", ["aggregation only", "shallow", "deep", "bidirectional"])
def test_the_local_branch_starts_as_the_context_branch(row: str, sample: Sample) -> None:
    model = tiny_model(row)
    (portion,) = whole("local", model, sample)
    network: Any = model.network

    start_branch(network, "local", "context")

    exchange = Exchange(portion.task.look.grid, "exact")
    with torch.no_grad():
        context = network.context(thumbnail_of(portion))
        ours = network.see_patches(portion.pixels, context.features, exchange, portion.task.places)
        theirs = network.context(portion.pixels)
    assert_near(ours.logits, theirs.logits)
    assert_near(ours.fused, theirs.fused)


@pytest.mark.parametrize("row", ["bidirectional", "bidirectional, shallow"])
def test_the_refined_stage_starts_where_the_local_stage_ended(row: str, sample: Sample) -> None:
    model = tiny_model(row)
    start_branch(model.network, "refined", "context")

    local, refined = (
        answers(STEPS[name](model.network, OBJECTIVE), whole(name, model, sample))
        for name in ("local", "refined")
    )

    assert_near(refined, local)


def test_the_refined_branch_starts_with_the_context_branchs_answer(
    sample: Sample,
) -> None:
    model = tiny_model()
    before = predicted(model, sample, Answer.GLOBAL)
    network: Any = model.network
    start_branch(network, "refined", "context")

    after = predicted(model, sample, Answer.GLOBAL)

    (portion,) = whole("local", model, sample)
    with torch.no_grad():
        context = network.context(thumbnail_of(portion))
    assert not torch.allclose(before, after)
    assert_near(after, stretched(context.logits[0]))


@pytest.mark.parametrize("row", ["aggregation only", "shallow", "deep", "bidirectional"])
def test_the_aggregated_answer_starts_as_the_local_branchs(row: str, sample: Sample) -> None:
    model = tiny_model(row)
    before = predicted(model, sample, Answer.AGGREGATED)

    start_aggregation(model.network)

    local = predicted(model, sample, Answer.LOCAL)
    assert not torch.allclose(before, local)
    assert_near(predicted(model, sample, Answer.AGGREGATED), local)


def test_the_aggregation_learns_to_hear_the_global_branch(sample: Sample) -> None:
    model = tiny_model("deep")
    start_aggregation(model.network)

    step = STEPS["local"](model.network, OBJECTIVE)
    see_all(step, whole("local", model, sample), PlainBackward())

    assert model.network.aggregation is not None
    weight = model.network.aggregation.weight
    assert weight.grad is not None
    _, heard = weight.chunk(2, dim=1)
    _, gradient = weight.grad.chunk(2, dim=1)
    assert not heard.any()
    assert gradient.abs().amax(dim=(0, 2, 3)).min() > 0


@pytest.mark.parametrize("answer", [Answer.LOCAL, Answer.AGGREGATED])
@pytest.mark.parametrize("row", ["deep", "bidirectional", "bidirectional, shallow"])
def test_the_local_stages_model_is_global_to_local(
    row: str, answer: Answer, sample: Sample, tmp_path: Path
) -> None:
    model = tiny_model(row)

    save_model(as_trained(model, "local"), tmp_path / "local")

    stage = load_model(tmp_path / "local")
    assert stage.config.architecture.sharing == "global_to_local"
    assert stage.network.refined is None
    # Of the full model, the aggregation hears the refined branch instead of the context branch.
    network = GLNet(model.network.context, model.network.local, None, model.network.aggregation)
    assert torch.equal(
        predicted(stage, sample, answer), predicted(Model(network, stage.config), sample, answer)
    )
    if answer is Answer.LOCAL:
        assert torch.equal(predicted(stage, sample, answer), predicted(model, sample, answer))


@pytest.mark.parametrize("row", ["global only", "aggregation only", "deep", "bidirectional"])
def test_the_context_stages_model_is_the_global_branch_alone(
    row: str, sample: Sample, tmp_path: Path
) -> None:
    model = tiny_model(row)

    save_model(as_trained(model, "context"), tmp_path / "context")

    stage = load_model(tmp_path / "context")
    assert answers_of(stage) == (Answer.GLOBAL,)
    assert {name.partition(".")[0] for name in stage.network.state_dict()} == {"context"}
    (portion,) = whole("local", model, sample)
    assert model.network.context is not None
    with torch.no_grad():
        logits = model.network.context(thumbnail_of(portion)).logits
    assert_near(predicted(stage, sample, Answer.GLOBAL), stretched(logits[0]))


def test_the_last_stages_model_is_the_whole_one(sample: Sample) -> None:
    model = tiny_model()

    stage = as_trained(model, "refined")

    assert stage.config == model.config
    assert answers_of(stage) == answers_of(model)
    for answer in answers_of(model):
        assert torch.equal(predicted(stage, sample, answer), predicted(model, sample, answer))
