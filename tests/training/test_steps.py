"""What the stages' steps answer, lose and teach."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from glnet.data import Sample
from glnet.geometry import PatchGrid
from glnet.inference.streaming import Answer
from glnet.model.branch import BranchOutput
from glnet.model.features import BranchFeatures
from glnet.model.glnet import GLNet
from glnet.training.config import LossConfig, RunConfig
from glnet.training.portions import Portion
from glnet.training.steps import LocalStep, Objective, RefinedStep
from glnet.training.tasks import Task
from tests.model.tiny import tiny_model
from tests.training.looks import (
    OBJECTIVE,
    SIZE,
    STEPS,
    PlainBackward,
    Source,
    answers,
    assert_near,
    chosen,
    gradients,
    module_for,
    portions_of,
    predicted,
    see_all,
    stitched,
    stretched,
    write_speckled,
)

LEARNING = {
    "context": ("context.",),
    "local": ("local.", "aggregation."),
    "refined": ("refined.", "aggregation."),
}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return write_speckled(tmp_path_factory.mktemp("speckled"), 2)


@pytest.mark.parametrize(
    "row", ["local only", "aggregation only", "shallow", "deep", "deep, not aggregated"]
)
def test_local_steps_answer_as_prediction_does(row: str, samples: list[Sample]) -> None:
    model = tiny_model(row)
    portions = portions_of("local", Source(model, samples[:1]), chosen("local", micro_batch=4))

    logits = answers(STEPS["local"](model.network, OBJECTIVE), portions)

    answer = Answer.LOCAL if model.network.aggregation is None else Answer.AGGREGATED
    assert_near(stitched(logits, portions[0]), predicted(model, samples[0], answer))


@pytest.mark.parametrize("micro_batch", [2, 100])
@pytest.mark.parametrize("row", ["bidirectional", "bidirectional, shallow"])
def test_refined_steps_answer_as_prediction_does(
    row: str, micro_batch: int, samples: list[Sample]
) -> None:
    model = tiny_model(row)
    choice = chosen("refined", micro_batch=micro_batch)
    portions = portions_of("refined", Source(model, samples[:1]), choice)

    logits = answers(STEPS["refined"](model.network, OBJECTIVE), portions)

    expected = predicted(model, samples[0], Answer.AGGREGATED)
    assert_near(stitched(logits, portions[0]), expected)


def test_context_steps_answer_as_prediction_does(samples: list[Sample]) -> None:
    model = tiny_model("global only")
    (portion,) = portions_of("context", Source(model, samples), chosen("context"))

    logits = answers(STEPS["context"](model.network, OBJECTIVE), [portion])

    for of, look in zip(logits, portion.task.looks, strict=True):
        expected = predicted(model, samples[look.image], Answer.GLOBAL)
        assert_near(stretched(of), expected)


def test_patches_anywhere_are_seen_as_those_of_a_grid(samples: list[Sample]) -> None:
    model = tiny_model("deep")
    (portion,) = portions_of("local", Source(model, samples[:1]), chosen("local", 0, 100))
    look = portion.task.look
    rows = tuple(look.grid.rows[row] for row, _ in look.learn)
    columns = tuple(look.grid.columns[column] for _, column in look.learn)
    places = tuple((k, k) for k in range(len(look.learn)))
    grid = PatchGrid(look.grid.raster, look.grid.patch, rows, columns)
    listed = replace(portion.task, looks=(replace(look, grid=grid, learn=places),), places=places)
    step = LocalStep(model.network, "exact", OBJECTIVE)

    assert_near(answers(step, [portion._replace(task=listed)]), answers(step, [portion]))


@pytest.mark.parametrize("name", STEPS)
def test_only_what_a_stage_trains_gets_gradients(name: str, samples: list[Sample]) -> None:
    model = tiny_model()
    module = module_for(name, model)
    module.hold()
    for parameter in model.network.parameters():
        parameter.grad = None

    see_all(module.step, portions_of(name, Source(model, samples), chosen(name)), PlainBackward())

    names = {key for key, _ in model.network.named_parameters()}
    assert set(gradients(module.step)) == {of for of in names if of.startswith(LEARNING[name])}


@pytest.mark.parametrize("name", STEPS)
def test_only_what_a_stage_trains_changes(name: str, samples: list[Sample]) -> None:
    model = tiny_model()
    module = module_for(name, model)
    optimizer = torch.optim.Adam(module.trained.parameters(), lr=0.1)
    before = {key: of.clone() for key, of in model.network.state_dict().items()}
    portions = portions_of(name, Source(model, samples), chosen(name))

    module.hold()
    for _ in range(2):
        see_all(module.step, portions, PlainBackward())
        optimizer.step()

    after = model.network.state_dict()
    changed = {key for key, of in after.items() if not torch.equal(of, before[key])}
    learning = {key for key in after if key.startswith(LEARNING[name])}
    assert changed <= learning
    assert {key for key in learning if "weight" in key} <= changed
    assert {key for key in learning if "running_mean" in key} <= changed


@pytest.mark.parametrize("name", STEPS)
def test_running_statistics_stay_where_a_run_asks_for_them(
    name: str, samples: list[Sample]
) -> None:
    model = tiny_model()
    module = module_for(name, model, RunConfig(batch_statistics="running"))
    before = {key: of.clone() for key, of in model.network.named_buffers()}

    module.hold()
    see_all(module.step, portions_of(name, Source(model, samples), chosen(name)), PlainBackward())

    assert before
    assert all(torch.equal(of, before[key]) for key, of in model.network.named_buffers())


def _watch(branch: nn.Module | None) -> list[bool]:
    """Whether each run of a branch made a graph, in a list that grows."""
    assert branch is not None
    seen: list[bool] = []

    def note(_: nn.Module, __: object, output: BranchOutput) -> None:
        seen.append(output.logits.requires_grad)

    branch.register_forward_hook(note)
    return seen


def test_a_local_step_runs_the_context_once_per_image_and_without_a_graph(
    samples: list[Sample],
) -> None:
    model = tiny_model("deep")
    module = module_for("local", model)
    module.hold()
    portions = portions_of("local", Source(model, samples), chosen("local", micro_batch=4))
    context, local = _watch(model.network.context), _watch(model.network.local)

    see_all(module.step, portions, PlainBackward())

    assert context == [False] * 2
    assert local == [True] * len(portions)
    assert len(portions) > 4


@pytest.mark.parametrize(("micro_batch", "again"), [(3, 0), (2, 2)])
def test_a_refined_step_runs_patches_without_a_graph_and_twice_only_if_it_must(
    micro_batch: int, again: int, samples: list[Sample]
) -> None:
    model = tiny_model()
    module = module_for("refined", model)
    module.hold()
    portions = portions_of("refined", Source(model, samples), chosen("refined", 3, micro_batch))
    context, refined = _watch(model.network.context), _watch(model.network.refined)
    with _counted("offer_patches") as offered, _counted("see_patches") as seen:
        see_all(module.step, portions, PlainBackward())

    merging = [of.task for of in portions if of.task.purpose == "merge"]
    kept = sum(of.keeps and bool(set(of.look.learn) & set(of.places)) for of in merging)
    assert context == [False] * 2
    assert offered == [False] * (len(merging) - kept)
    assert seen == [False] * (kept + again * 2), "the fused map where it is wanted, only"
    assert offered
    assert seen
    assert refined == [True] * 2


def test_patches_are_merged_without_normalising_any_map(samples: list[Sample]) -> None:
    model = tiny_model()
    module = module_for("refined", model)
    module.hold()
    portions = portions_of("refined", Source(model, samples[:1]), chosen("refined", 1, 1))
    first, second, *_ = (of for of in portions if of.task.purpose == "merge")

    with patch.object(functional, "batch_norm", wraps=functional.batch_norm) as normalise:
        module.step.see(first, None)
        opening = normalise.call_count
        module.step.see(second, None)

    assert normalise.call_count == opening > 0, "the context branch's, and once to compare"


@contextmanager
def _counted(name: str) -> Iterator[list[bool]]:
    """Whether each run of a method of `GLNet` made a graph, in a list that grows."""
    method, seen = getattr(GLNet, name), list[bool]()

    def noting(*given: object) -> BranchFeatures | BranchOutput:
        output: BranchFeatures | BranchOutput = method(*given)
        features = output.features if isinstance(output, BranchOutput) else output
        seen.append(features.smooth[0].requires_grad)
        return output

    with patch.object(GLNet, name, noting):
        yield seen


def test_without_its_weight_there_is_no_regularisation() -> None:
    def names(weight: float) -> list[str]:
        objective = Objective(loss=LossConfig(regularization=weight))
        return list(STEPS["local"](tiny_model("deep").network, objective).names)

    assert names(0.0) == ["aggregated", "local"]
    assert names(0.1) == ["aggregated", "local", "regularization"]


def test_a_local_branch_alone_has_its_own_loss_at_its_full_weight(samples: list[Sample]) -> None:
    model = tiny_model("local only")
    portions = portions_of("local", Source(model, samples), chosen("local"))

    def losses(auxiliary: float) -> dict[str, Tensor]:
        objective = Objective(loss=LossConfig(auxiliary=auxiliary))
        return see_all(STEPS["local"](model.network, objective), portions).losses

    assert set(losses(0.5)) == {"local"}
    torch.testing.assert_close(losses(0.5), losses(2.0))


@pytest.mark.parametrize(("name", "weighted"), [("local", "local"), ("refined", "global")])
def test_a_branchs_own_loss_is_weighted(name: str, weighted: str, samples: list[Sample]) -> None:
    model = tiny_model()
    portions = portions_of(name, Source(model, samples), chosen(name))

    def losses(auxiliary: float) -> dict[str, Tensor]:
        objective = Objective(loss=LossConfig(gamma=2.0, auxiliary=auxiliary))
        return see_all(STEPS[name](model.network, objective), portions).losses

    once, twice = losses(0.5), losses(1.0)
    torch.testing.assert_close(twice[weighted], 2 * once[weighted])
    torch.testing.assert_close(twice["aggregated"], once["aggregated"])


@pytest.mark.parametrize("name", STEPS)
def test_a_process_that_only_waits_loses_nothing(name: str) -> None:
    step = STEPS[name](tiny_model().network, OBJECTIVE)

    seen = step.see(Portion(Task()), PlainBackward())

    assert (seen.losses, seen.logits, seen.labels) == ({}, None, None)


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
        STEPS[name](tiny_model(row).network, OBJECTIVE)


@pytest.mark.parametrize("missing", ["context", "local", "aggregation"])
def test_a_refined_branch_without_what_it_works_with_is_refused(missing: str) -> None:
    network: Any = tiny_model().network
    parts = {of: getattr(network, of) for of in ("context", "local", "refined", "aggregation")}

    with pytest.raises(ValueError, match=f"needs a network that has its {missing}"):
        RefinedStep(GLNet(**parts | {missing: None}), "exact", OBJECTIVE)


@pytest.mark.parametrize("name", ["local", "refined"])
def test_a_portion_before_the_first_of_its_image_is_refused(
    name: str, samples: list[Sample]
) -> None:
    model = tiny_model()
    first, *_ = portions_of(name, Source(model, samples), chosen(name, micro_batch=2))
    step = STEPS[name](model.network, OBJECTIVE)

    with pytest.raises(ValueError, match="before the first one of its image"):
        step.see(first._replace(opening=None), None)


def test_speckled_images_have_all_classes_and_pixels_that_do_not_count(tmp_path: Path) -> None:
    (portion,) = portions_of(
        "local", Source(tiny_model(), write_speckled(tmp_path)), chosen("local", 0, 100)
    )

    assert portion.labels is not None
    assert set(portion.labels.flatten().tolist()) == {0, 1, 2, 255}
    assert portion.task.look.grid.raster == SIZE
