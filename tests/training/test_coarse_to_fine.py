"""A coarse-to-fine run: its stages, what they look at, where they start, and its model."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from glnet.data import SegmentationFolder
from glnet.errors import CheckpointError, ConfigurationError
from glnet.geometry import Size, Window
from glnet.model.checkpoint import Model, load_model, save_model
from glnet.model.coarse import coarse_of
from glnet.model.config import Boxes, CoarseToFine
from glnet.training import preparation
from glnet.training.boxes import BoxDrawing
from glnet.training.choices import Start
from glnet.training.config import CoarseToFineTraining, TrainingConfig
from glnet.training.devices import is_first
from glnet.training.images import LabelledImage
from glnet.training.preparation import Setup, Stage
from glnet.training.run import train, train_and_evaluate
from glnet.training.starting import as_trained, take_weights
from glnet.training.tasks import Look
from tests.training.boxed_run import GROUND, STAGES, BrightIsForeground, boxed_config, write_spots
from tests.training.tiny_run import (
    QUIET,
    assert_same_weights,
    tiny_config,
    weights,
    with_run,
    with_stages,
    write_scenes,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_spots(tmp_path_factory.mktemp("spots") / "data", train=4, validation=2).root


@pytest.fixture
def config(data: Path, tmp_path: Path) -> TrainingConfig:
    return boxed_config(data, tmp_path / "run")


def prepared(config: TrainingConfig, **how: Any) -> Setup:  # noqa: ANN401
    config = replace(config, coarse_to_fine=CoarseToFineTraining(**how))
    return Setup(config, SegmentationFolder.open(config.data.folder))


def started(setup: Setup) -> dict[str, Stage]:
    """The stages by name, all of them ready to train."""
    stages = setup.stages()
    for stage in stages:
        setup.start(stage)
    return {stage.name: stage for stage in stages}


def looks(stage: Stage, epochs: int = 1, *, validation: bool = False) -> list[Look]:
    plan = (stage.feeds.validation if validation else stage.feeds.training).plan
    return [
        look
        for epoch in range(epochs)
        for step in range(plan.steps)
        for task in plan.tasks(epoch, step)
        if task.opens
        for look in task.looks
    ]


def predicted(setup: Setup) -> dict[str, tuple[Window, ...]]:
    """Drawn once more, by the network as it is."""
    network: Any = setup.network
    drawing = BoxDrawing(setup.model.config)
    images = list(setup._images.values())
    return dict(drawing.around_predicted(network.coarse, images, torch.device("cpu")))


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ("local only", ["coarse", "local"]),
        ("global only", ["coarse", "context"]),
        ("deep", ["coarse", "context", "local"]),
        ("bidirectional", ["coarse", "context", "local", "refined"]),
    ],
)
def test_the_coarse_stage_comes_first(
    row: str, names: list[str], data: Path, tmp_path: Path
) -> None:
    setup = Setup(boxed_config(data, tmp_path / "run", row), SegmentationFolder.open(data))

    assert [stage.name for stage in setup.stages()] == names


def test_without_coarse_to_fine_there_is_no_coarse_stage(config: TrainingConfig) -> None:
    plain = replace(config, coarse_to_fine=None)

    setup = Setup(plain, SegmentationFolder.open(config.data.folder))

    assert [stage.name for stage in setup.stages()] == ["context", "local", "refined"]
    assert setup.network.coarse is None
    assert {look.box for stage in setup.stages() for look in looks(stage)} == {None}


def test_more_than_two_classes_are_refused_before_any_image_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = write_scenes(tmp_path / "data")
    config = tiny_config(scenes.root, tmp_path / "run")
    monkeypatch.setattr(preparation, "check_splits", lambda *_: pytest.fail("images were read"))

    with pytest.raises(ConfigurationError, match=r"got 5 classes; for many .* --refine-below"):
        Setup(replace(config, coarse_to_fine=CoarseToFineTraining()), scenes)


def test_the_coarse_stage_looks_at_whole_images(config: TrainingConfig) -> None:
    stages = started(prepared(config))

    seen = [*looks(stages["coarse"], 5), *looks(stages["coarse"], validation=True)]

    assert {look.box for look in seen} == {None}
    assert all(look.grid.raster == look.turn.size(GROUND) for look in seen)


@pytest.mark.parametrize("name", STAGES[1:])
def test_later_stages_look_at_boxes_of_the_truth_moved_a_little(
    name: str, config: TrainingConfig
) -> None:
    setup = prepared(config, truth=1.0, jitter=0.1)
    stage = started(setup)[name]
    truth = BoxDrawing(setup.model.config).around_truth(setup.training, setup.folder.description)

    seen = looks(stage, 6)

    assert len({look.box for look in seen}) > 15
    for look in seen:
        (box,) = truth[setup.training[look.image].stem]
        assert look.box is not None
        assert look.box.is_inside(GROUND)
        assert abs(look.box.row - box.row) <= 0.1 * box.size.height
        assert abs(look.box.column_stop - box.column_stop) <= 0.1 * box.size.width
        assert look.grid.raster == look.turn.size(look.box.size)


@pytest.mark.parametrize("boxes", ["one", "each"])
def test_later_stages_look_at_boxes_that_the_coarse_branch_predicts(
    boxes: Boxes, config: TrainingConfig
) -> None:
    setup = prepared(config, truth=0.0, jitter=0.0, boxes=boxes)
    stages = started(setup)
    drawn = predicted(setup)

    for name in STAGES[1:]:
        seen = looks(stages[name], 12)
        for number, sample in enumerate(setup.training):
            found = {look.box for look in seen if look.image == number}
            assert found == set(drawn[sample.stem] or [None])


def test_validation_looks_at_the_largest_predicted_box_as_it_is(config: TrainingConfig) -> None:
    setup = prepared(with_stages(config, start="fresh"), truth=1.0, jitter=0.5, boxes="each")
    network: Any = setup.network
    network.coarse = BrightIsForeground(setup.model.config.normalization)
    stages = started(setup)
    drawn = predicted(setup)

    assert {len(boxes) for boxes in drawn.values()} == {2}
    for name in STAGES[1:]:
        seen = looks(stages[name], 3, validation=True)
        for look in seen:
            boxes = drawn[setup.validation[look.image].stem]
            assert look.box == boxes[int(np.argmax([of.size.area for of in boxes]))]


def test_stages_and_epochs_have_their_own_boxes(config: TrainingConfig) -> None:
    stages = started(prepared(config))

    seen = {name: [look.box for look in looks(stages[name])] for name in STAGES[1:]}

    assert seen["context"] != seen["local"] != seen["refined"]
    assert [look.box for look in looks(stages["local"], 2)][:4] == seen["local"]
    assert [look.box for look in looks(stages["local"], 2)][4:] != seen["local"]


def test_another_process_draws_the_same_boxes(config: TrainingConfig) -> None:
    ours, theirs = (started(prepared(config)) for _ in range(2))

    for name in STAGES:
        assert looks(ours[name], 3) == looks(theirs[name], 3)


def test_boxes_are_predicted_once_and_not_before_the_coarse_branch_has_trained(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    draw = BoxDrawing.around_predicted

    def noted(self: BoxDrawing, branch: Any, images: Sequence[LabelledImage], of: Any) -> Any:  # noqa: ANN401
        drawn.append(len(images))
        return draw(self, branch, images, of)

    monkeypatch.setattr(BoxDrawing, "around_predicted", noted)
    setup = prepared(config)
    coarse, *others = setup.stages()

    setup.start(coarse)
    assert drawn == []
    for stage in others:
        setup.start(stage)
        assert drawn == [6]


def test_images_without_foreground_are_looked_at_whole(tmp_path: Path) -> None:
    scenes = write_spots(tmp_path / "data", spots=())
    setup = prepared(boxed_config(scenes.root, tmp_path / "run"), truth=1.0)

    assert {look.box for look in looks(started(setup)["local"], 3)} == {None}
    extent = setup.model.config.training_extent
    assert extent is not None
    assert extent.smallest == extent.largest == GROUND


@pytest.mark.parametrize("boxes", ["one", "each"])
def test_the_extent_is_that_of_the_boxes_of_the_truth(boxes: Boxes, config: TrainingConfig) -> None:
    setup = prepared(config, boxes=boxes)
    drawing = BoxDrawing(setup.model.config)
    truth = drawing.around_truth(setup.training, setup.folder.description)

    extent = setup.model.config.training_extent

    assert extent is not None
    areas = [box.size.area for of in truth.values() for box in of]
    assert (extent.smallest.area, extent.largest.area) == (min(areas), max(areas))
    assert max(areas) < GROUND.area


def test_normalisation_is_measured_on_whole_images(config: TrainingConfig) -> None:
    folder = SegmentationFolder.open(config.data.folder)
    plain = Setup(replace(config, coarse_to_fine=None), folder)

    assert prepared(config).model.config.normalization == plain.model.config.normalization


@pytest.mark.parametrize(("start", "is_same"), [("coarse", True), ("context", False), ("fresh", 0)])
def test_the_context_branch_starts_where_it_is_told(
    config: TrainingConfig, start: Start, is_same: bool
) -> None:
    setup = prepared(with_stages(config, "coarse", "context", start=start))
    before = {name: of.clone() for name, of in setup.network.state_dict().items()}

    started(setup)

    network: Any = setup.network
    ours, coarse = network.context.state_dict(), network.coarse.state_dict()
    assert all(torch.equal(of, before[f"coarse.{name}"]) for name, of in coarse.items())
    assert all(torch.equal(of, coarse[name]) for name, of in ours.items()) == is_same
    if not is_same:
        assert all(torch.equal(of, before[f"context.{name}"]) for name, of in ours.items())


def test_by_default_the_context_branch_starts_as_the_coarse_one(config: TrainingConfig) -> None:
    default = TrainingConfig(data=config.data, output=config.output).stages

    assert (default.coarse.start, default.context.start) == ("fresh", "coarse")
    assert replace(default.coarse, start="coarse") == default.context


def test_a_local_branch_alone_can_start_as_the_coarse_one(data: Path, tmp_path: Path) -> None:
    config = boxed_config(data, tmp_path / "run", "local only")
    setup = prepared(with_stages(config, "local", start="coarse"))

    started(setup)

    network: Any = setup.network
    coarse = network.coarse.state_dict()
    assert all(torch.equal(of, coarse[name]) for name, of in network.local.state_dict().items())


def a_model(config: TrainingConfig, **how: Any) -> Model:  # noqa: ANN401
    """As another run would have left it."""
    return prepared(with_run(config, seed=7), **how).model


def test_the_coarse_stages_model_is_an_ordinary_one_of_the_global_branch(
    config: TrainingConfig, tmp_path: Path
) -> None:
    model = a_model(config)

    save_model(as_trained(model, "coarse"), tmp_path / "coarse")

    stage = load_model(tmp_path / "coarse")
    assert stage.config.architecture == coarse_of(model).config.architecture
    assert stage.config.coarse_to_fine is None
    # What the model names are boxes; this one has seen whole images.
    assert stage.config.training_extent is None
    ours = {
        name.replace("context.", "coarse."): of for name, of in weights(tmp_path / "coarse").items()
    }
    theirs = {name: of for name, of in model.network.state_dict().items() if name in ours}
    assert len(ours) == len(theirs) > 0
    assert all(torch.equal(of, theirs[name]) for name, of in ours.items())


@pytest.mark.parametrize(
    ("stage", "parts"),
    [
        ("context", {"coarse", "context"}),
        ("local", {"coarse", "context", "local", "aggregation"}),
        ("refined", {"coarse", "context", "local", "refined", "aggregation"}),
    ],
)
def test_later_stages_models_keep_the_coarse_branch_and_its_rule(
    stage: str, parts: set[str], config: TrainingConfig, tmp_path: Path
) -> None:
    model = a_model(config, boxes="each", ratio=2.0)

    save_model(as_trained(model, stage), tmp_path / "stage")

    loaded = load_model(tmp_path / "stage")
    assert loaded.config.coarse_to_fine == CoarseToFine(boxes="each", ratio=2.0)
    assert loaded.config.training_extent == model.config.training_extent
    assert {name.partition(".")[0] for name in loaded.network.state_dict()} == parts


@pytest.mark.parametrize("stage", STAGES)
def test_weights_of_a_stages_model_go_where_they_came_from(
    stage: str, config: TrainingConfig
) -> None:
    theirs, ours = a_model(config), prepared(config).model
    before = {name: of.clone() for name, of in ours.network.state_dict().items()}

    take_weights(ours.network, as_trained(theirs, stage), stage)

    trained = {"aggregation", *STAGES[: STAGES.index(stage) + 1]}
    trained -= {"aggregation"} if stage in {"coarse", "context"} else set()
    for name, of in ours.network.state_dict().items():
        is_taken = name.partition(".")[0] in trained
        expected = theirs.network.state_dict()[name] if is_taken else before[name]
        assert torch.equal(of, expected)


@pytest.mark.parametrize(
    ("stage", "left"),
    [
        ("coarse", ["context", "local", "refined"]),
        ("context", ["local", "refined"]),
        ("local", ["refined"]),
    ],
)
def test_a_coarse_to_fine_model_gives_the_stages_that_it_has_done(
    stage: str, left: list[str], config: TrainingConfig, tmp_path: Path
) -> None:
    given = a_model(config)
    save_model(as_trained(given, stage), tmp_path / "given")

    setup = prepared(replace(config, start_from=str(tmp_path / "given")))

    assert [of.name for of in setup.stages()] == left
    ours, theirs = setup.network.state_dict(), given.network.state_dict()
    done = STAGES[: STAGES.index(stage) + 1]
    kept = [name for name in ours if name.partition(".")[0] in done]
    assert kept
    assert all(torch.equal(ours[name], theirs[name]) for name in kept)


def test_a_plain_model_of_the_global_branch_gives_the_coarse_branch(
    config: TrainingConfig, tmp_path: Path
) -> None:
    plain = replace(with_run(config, seed=7), coarse_to_fine=None)
    given = Setup(plain, SegmentationFolder.open(config.data.folder)).model
    save_model(as_trained(given, "context"), tmp_path / "given")

    setup = prepared(replace(config, start_from=str(tmp_path / "given")))

    assert [of.name for of in setup.stages()] == ["context", "local", "refined"]
    theirs: Any = given.network.context
    ours: Any = setup.network.coarse
    pairs = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    assert all(torch.equal(of, other) for of, other in pairs)
    boxes = {look.box for look in looks(started(setup)["local"], 3)}
    assert boxes - {None}


def test_a_whole_plain_model_is_no_start_for_a_coarse_to_fine_run(
    config: TrainingConfig, tmp_path: Path
) -> None:
    plain = replace(config, coarse_to_fine=None)
    given = Setup(plain, SegmentationFolder.open(config.data.folder)).model
    save_model(as_trained(given, "local"), tmp_path / "given")

    with pytest.raises(
        CheckpointError, match=r"^start_from is a whole model without a coarse branch; [^\n]*$"
    ):
        prepared(replace(config, start_from=str(tmp_path / "given")))


def test_a_coarse_to_fine_model_is_no_start_for_a_plain_run(
    config: TrainingConfig, tmp_path: Path
) -> None:
    save_model(as_trained(a_model(config), "context"), tmp_path / "given")
    plain = replace(config, coarse_to_fine=None, start_from=str(tmp_path / "given"))

    with pytest.raises(
        CheckpointError, match=r"^start_from is a coarse-to-fine model, [^\n]* stages/coarse of "
    ):
        Setup(plain, SegmentationFolder.open(config.data.folder))


def test_the_model_of_a_coarse_stage_is_a_start_for_a_plain_run(
    config: TrainingConfig, tmp_path: Path
) -> None:
    save_model(as_trained(a_model(config), "coarse"), tmp_path / "given")
    plain = replace(config, coarse_to_fine=None, start_from=str(tmp_path / "given"))

    setup = Setup(plain, SegmentationFolder.open(config.data.folder))

    assert [of.name for of in setup.stages()] == ["local", "refined"]


@pytest.mark.usefixtures("undrawn")
def test_a_coarse_to_fine_run_leaves_all_its_stages_and_is_evaluated(
    config: TrainingConfig,
) -> None:
    result = train_and_evaluate(config, QUIET)

    assert is_first()
    output = Path(config.output)
    for name in STAGES:
        assert (output / "stages" / name / "model.safetensors").is_file()
        assert (output / "pictures" / "validation_0" / f"{name}-001.png").is_file()
        assert (output / "checkpoints" / name / "last.ckpt").is_file()
    stages = [line.partition(",")[0] for line in (output / "history.csv").read_text().splitlines()]
    assert stages[1:] == list(STAGES)
    assert_same_weights(output / "stages" / "context", output / "model", "coarse.")
    coarse = weights(output / "stages" / "coarse")
    model = weights(output / "model")
    assert all(torch.equal(of, model[f"coarse.{name[8:]}"]) for name, of in coarse.items())
    assert load_model(output / "model").config.coarse_to_fine == CoarseToFine()
    assert result is not None
    assert result.evaluation.pixels == 2 * (GROUND.height - 8) * GROUND.width


@pytest.mark.usefixtures("undrawn")
def test_the_coarse_stage_alone_leaves_an_ordinary_model(config: TrainingConfig) -> None:
    model = train(with_stages(config, "coarse", epochs=1), QUIET)

    assert model.config.coarse_to_fine is None
    assert load_model(Path(config.output) / "model").config == model.config


@pytest.mark.usefixtures("undrawn")
def test_reading_processes_see_the_same(config: TrainingConfig, tmp_path: Path) -> None:
    several = replace(
        config, output=str(tmp_path / "several"), data=replace(config.data, workers=1)
    )
    quiet = [replace(of, follow=replace(of.follow, pictures=0)) for of in (config, several)]

    for of in quiet:
        train(of, QUIET)

    assert_same_weights(tmp_path / "run" / "model", tmp_path / "several" / "model")


def test_images_of_other_sizes_have_boxes_of_their_own(tmp_path: Path) -> None:
    """An image smaller than a patch is its own box."""
    root = write_spots(tmp_path / "data", train=2).root
    for name in ("images", "masks"):
        path = root / name / "train_1.png"
        Image.open(path).crop((10, 10, 60, 70)).save(path)
    setup = prepared(boxed_config(root, tmp_path / "run"), truth=1.0, jitter=0.5)

    seen = looks(started(setup)["local"], 20)

    sizes = {look.box.size for look in seen if look.image == 1 and look.box is not None}
    assert sizes == {Size(60, 50)}
    assert len({look.box for look in seen if look.image == 0}) > 10
