from pathlib import Path
from typing import Any

import pytest
import torch

from glnet.data import SegmentationFolder
from glnet.inference.streaming import Answer, answers_of
from glnet.model.checkpoint import Model, load_model, save_model
from glnet.model.exchange import Exchange
from glnet.model.glnet import GLNet
from glnet.training.config import RunConfig, StageConfig
from glnet.training.preparation import as_trained
from glnet.training.samples import Choice
from glnet.training.stages import StageModule
from glnet.training.starting import start_aggregation, start_local, start_refined
from glnet.training.steps import LocalStep, RefinedStep
from tests.model.tiny import tiny_model
from tests.training.looks import (
    LOSS,
    STEPS,
    assert_near,
    descend,
    look_at,
    part_for,
    predicted,
    stretched,
)
from tests.training.tiny_run import write_scenes

LEARNING = {
    "context": ("context.",),
    "local": ("local.", "aggregation."),
    "refined": ("refined.", "aggregation."),
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> SegmentationFolder:
    return write_scenes(tmp_path_factory.mktemp("scenes"))


@pytest.mark.parametrize("name", STEPS)
def test_only_what_a_stage_trains_changes(name: str, scenes: SegmentationFolder) -> None:
    model = tiny_model()
    step = STEPS[name](model.network)
    module = StageModule(step, StageConfig(epochs=1, learning_rate=0.1), RunConfig())
    optimizer = torch.optim.Adam(module.trained.parameters(), lr=0.1)
    before = {key: of.clone() for key, of in model.network.state_dict().items()}

    module.on_train_epoch_start()
    for _ in range(2):
        descend(step, part_for(name, look_at(model, scenes)))
        optimizer.step()

    after = model.network.state_dict()
    changed = {key for key, of in after.items() if not torch.equal(of, before[key])}
    learning = {key for key in after if key.startswith(LEARNING[name])}
    assert changed <= learning
    assert {key for key in learning if "weight" in key} <= changed
    assert {key for key in learning if "running_mean" in key} <= changed


@pytest.mark.parametrize("row", ["aggregation only", "shallow", "deep", "bidirectional"])
def test_the_local_branch_starts_as_the_context_branch(
    row: str, scenes: SegmentationFolder
) -> None:
    model = tiny_model(row)
    look = look_at(model, scenes)
    network: Any = model.network

    start_local(network)

    exchange = Exchange(look.patches.grid, "exact")
    with torch.no_grad():
        context = network.context(look.thumbnail.pixels[None])
        ours = network.see_patches(
            look.patches.pixels, context.features, exchange, look.patches.places
        )
        theirs = network.context(look.patches.pixels)
    assert_near(ours.logits, theirs.logits)
    assert_near(ours.fused, theirs.fused)


@pytest.mark.parametrize("row", ["bidirectional", "bidirectional, shallow"])
def test_the_refined_stage_starts_where_the_local_stage_ended(
    row: str, scenes: SegmentationFolder
) -> None:
    model = tiny_model(row)
    look = look_at(model, scenes, Choice(patches=3))
    start_refined(model.network)

    with torch.no_grad():
        local, _ = LocalStep(model.network, "exact", LOSS).answer(look)
        refined, _ = RefinedStep(model.network, "exact", LOSS, 3).answer(look)

    assert_near(refined, local)


def test_the_refined_branch_starts_with_the_context_branchs_answer(
    scenes: SegmentationFolder,
) -> None:
    model = tiny_model()
    before = predicted(model, scenes, Answer.GLOBAL)
    network: Any = model.network
    start_refined(network)

    after = predicted(model, scenes, Answer.GLOBAL)

    look = look_at(model, scenes)
    with torch.no_grad():
        context = network.context(look.thumbnail.pixels[None])
    assert not torch.allclose(before, after)
    assert_near(after, stretched(context.logits[0], look))


@pytest.mark.parametrize("row", ["aggregation only", "shallow", "deep", "bidirectional"])
def test_the_aggregated_answer_starts_as_the_local_branchs(
    row: str, scenes: SegmentationFolder
) -> None:
    model = tiny_model(row)
    before = predicted(model, scenes, Answer.AGGREGATED)

    start_aggregation(model.network)

    local = predicted(model, scenes, Answer.LOCAL)
    assert not torch.allclose(before, local)
    assert_near(predicted(model, scenes, Answer.AGGREGATED), local)


def test_the_aggregation_learns_to_hear_the_global_branch(scenes: SegmentationFolder) -> None:
    model = tiny_model("deep")
    start_aggregation(model.network)

    descend(LocalStep(model.network, "exact", LOSS), look_at(model, scenes))

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
    row: str, answer: Answer, scenes: SegmentationFolder, tmp_path: Path
) -> None:
    model = tiny_model(row)

    save_model(as_trained(model, "local"), tmp_path / "local")

    stage = load_model(tmp_path / "local")
    assert stage.config.architecture.sharing == "global_to_local"
    assert stage.network.refined is None
    # Of the full model, the aggregation hears the refined branch instead of the context branch.
    network = GLNet(model.network.context, model.network.local, None, model.network.aggregation)
    assert torch.equal(
        predicted(stage, scenes, answer), predicted(Model(network, stage.config), scenes, answer)
    )
    if answer is Answer.LOCAL:
        assert torch.equal(predicted(stage, scenes, answer), predicted(model, scenes, answer))


@pytest.mark.parametrize("row", ["global only", "aggregation only", "deep", "bidirectional"])
def test_the_context_stages_model_is_the_global_branch_alone(
    row: str, scenes: SegmentationFolder, tmp_path: Path
) -> None:
    model = tiny_model(row)

    save_model(as_trained(model, "context"), tmp_path / "context")

    stage = load_model(tmp_path / "context")
    assert answers_of(stage) == (Answer.GLOBAL,)
    assert {name.partition(".")[0] for name in stage.network.state_dict()} == {"context"}
    look = look_at(model, scenes)
    assert model.network.context is not None
    with torch.no_grad():
        logits = model.network.context(look.thumbnail.pixels[None]).logits
    assert_near(predicted(stage, scenes, Answer.GLOBAL), stretched(logits[0], look))


def test_the_last_stages_model_is_the_whole_one(scenes: SegmentationFolder) -> None:
    model = tiny_model()

    stage = as_trained(model, "refined")

    assert stage.config == model.config
    assert answers_of(stage) == answers_of(model)
    for answer in answers_of(model):
        assert torch.equal(predicted(stage, scenes, answer), predicted(model, scenes, answer))
