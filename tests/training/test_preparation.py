"""From a configuration to the parts of a run: what is made, started, fed and refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from glnet.data import SegmentationFolder
from glnet.errors import CheckpointError, ConfigurationError, DatasetError
from glnet.model.checkpoint import Model, load_model, new_model, save_model
from glnet.model.config import Framing
from glnet.training.choices import ClassWeights, Start
from glnet.training.config import TrainingConfig
from glnet.training.losses import balanced_weights
from glnet.training.preparation import VALIDATION_PATCHES, Setup, Stage, objective_of
from glnet.training.starting import as_trained
from glnet.training.tasks import Look
from tests.raster.raster_files import write_tiff
from tests.training.tiny_run import (
    FRAMING,
    STAGES,
    tiny_config,
    with_run,
    with_stages,
    write_scenes,
)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> SegmentationFolder:
    """Not to be changed."""
    return write_scenes(tmp_path_factory.mktemp("scenes"))


@pytest.fixture
def config(scenes: SegmentationFolder, tmp_path: Path) -> TrainingConfig:
    return tiny_config(scenes.root, tmp_path / "run")


def prepared(config: TrainingConfig) -> Setup:
    return Setup(config, SegmentationFolder.open(config.data.folder))


def stage_named(setup: Setup, name: str) -> Stage:
    (stage,) = (of for of in setup.stages() if of.name == name)
    return stage


def looks(stage: Stage, epoch: int = 0) -> list[Look]:
    plan = stage.feeds.training.plan
    tasks = [task for step in range(plan.steps) for task in plan.tasks(epoch, step)]
    return [look for task in tasks if task.opens for look in task.looks]


def test_validation_images_are_looked_at_too(tmp_path: Path) -> None:
    scenes = write_scenes(tmp_path / "data")
    (sample,) = scenes.split("validation")
    sample.image.unlink()
    noise = np.random.default_rng(0).integers(0, 250, (5, 160, 128)).astype(np.uint8)
    write_tiff(sample.image.with_suffix(".tif"), noise)

    with pytest.raises(DatasetError, match="5 bands, the images before have 3"):
        prepared(tiny_config(scenes.root, tmp_path / "run"))


@pytest.mark.parametrize(
    "framing", [replace(FRAMING, patch_size=32), replace(FRAMING, thumbnail_size=32)]
)
def test_patches_and_thumbnails_of_a_single_cell_are_refused(
    config: TrainingConfig, framing: Framing
) -> None:
    with pytest.raises(ConfigurationError, match="patch_size and thumbnail_size over 32, got 32"):
        prepared(replace(config, framing=framing))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_refused(config: TrainingConfig) -> None:
    with pytest.raises(ConfigurationError, match="device cuda was asked for"):
        prepared(with_run(config, device="cuda"))


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ("local only", ["local"]),
        ("global only", ["context"]),
        ("aggregation only", ["context", "local"]),
        ("deep", ["context", "local"]),
        ("bidirectional", ["context", "local", "refined"]),
    ],
)
def test_stages_are_those_of_the_architecture(
    scenes: SegmentationFolder, row: str, names: list[str]
) -> None:
    setup = prepared(tiny_config(scenes.root, scenes.root / "run", row))

    assert [stage.name for stage in setup.stages()] == names


def test_a_stage_of_0_epochs_is_left_out(config: TrainingConfig) -> None:
    setup = prepared(with_stages(config, "context", "refined"))

    assert [stage.name for stage in setup.stages()] == ["context", "refined"]


def test_no_stage_at_all_is_refused(config: TrainingConfig) -> None:
    with pytest.raises(ConfigurationError, match="no stage to train: every stage has 0 epochs"):
        prepared(with_stages(config, epochs=0)).stages()


@pytest.mark.parametrize(("start", "is_same"), [("context", True), ("fresh", False)])
def test_a_branch_starts_where_it_is_told(
    config: TrainingConfig, start: Start, is_same: bool
) -> None:
    setup = prepared(with_stages(config, "local", "refined", start=start))

    for of in setup.stages():
        setup.start(of)

    network: Any = setup.network
    theirs = network.context.backbone.state_dict().values()
    for branch in (network.local, network.refined):
        pairs = zip(branch.backbone.state_dict().values(), theirs, strict=True)
        assert all(torch.equal(ours, other) for ours, other in pairs) == is_same


def test_every_stage_has_its_own_looks(config: TrainingConfig) -> None:
    setup = prepared(config)

    turns = {
        name: [[of.turn for of in looks(stage_named(setup, name), epoch)] for epoch in range(5)]
        for name in STAGES
    }

    assert turns["local"] != turns["refined"] != turns["context"]


def test_a_merging_stage_takes_patches_of_the_grid_in_any_case(config: TrainingConfig) -> None:
    setup = prepared(with_run(config, placement="random"))

    def is_grid(name: str) -> list[bool]:
        return [of.grid == FRAMING.grid(of.grid.raster) for of in looks(stage_named(setup, name))]

    assert all(is_grid("refined"))
    assert not any(is_grid("local"))


def test_the_validation_split_is_looked_at_in_one_step_as_it_lies(config: TrainingConfig) -> None:
    data = replace(config.data, photometric=0.5, foreground=0.5)

    for stage in prepared(replace(config, data=data)).stages():
        plan = stage.feeds.validation.plan
        seen = [look for task in plan.tasks(0, 0) for look in task.looks if task.opens]

        assert plan.steps == 1
        assert plan.tasks(3, 0) == plan.tasks(0, 0)
        assert {(of.turn.quarters, of.turn.mirrored, of.tint) for of in seen} == {
            (0, False, (1.0, 0.0))
        }
        assert all(len(of.learn) <= VALIDATION_PATCHES for of in seen)


def test_classes_that_never_occur_are_known(tmp_path: Path) -> None:
    scenes = write_scenes(tmp_path / "data")
    names = [of.name for of in scenes.description.classes]
    for sample in scenes.split("train"):
        assert sample.mask is not None
        labels = np.array(Image.open(sample.mask))
        Image.fromarray(np.where(np.isin(labels, (1, 4)), 0, labels)).save(sample.mask)

    setup = prepared(tiny_config(scenes.root, tmp_path / "run"))

    assert setup.absent == [names[1], names[4]]


def test_counts_are_those_of_the_training_masks(
    config: TrainingConfig, scenes: SegmentationFolder
) -> None:
    masks = [of.mask for of in scenes.split("train")]
    labels = np.concatenate([np.array(Image.open(mask)).ravel() for mask in masks if mask])

    assert prepared(config).counts.tolist() == np.bincount(labels, minlength=5).tolist()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("none", lambda _: None),
        ("balanced", balanced_weights),
        ((1.0, 2.0, 3.0, 4.0, 5.0), lambda _: torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])),
    ],
    ids=["none", "balanced", "listed"],
)
def test_classes_weigh_what_is_asked(
    config: TrainingConfig,
    asked: ClassWeights,
    expected: Callable[[torch.Tensor], torch.Tensor | None],
) -> None:
    setup = prepared(replace(config, loss=replace(config.loss, class_weights=asked)))

    weights = objective_of(setup.config, torch.from_numpy(setup.counts)).class_weights

    wanted = expected(torch.from_numpy(setup.counts))
    if wanted is None:
        assert weights is None
    else:
        torch.testing.assert_close(weights, wanted)


@pytest.mark.parametrize("number", [2, 6])
def test_a_list_of_other_than_a_weight_per_class_is_refused(
    config: TrainingConfig, number: int
) -> None:
    loss = replace(config.loss, class_weights=(1.0,) * number)

    with pytest.raises(ConfigurationError, match=f"each of the 5 classes, got {number}"):
        prepared(replace(config, loss=loss)).stages()


def given_model(config: TrainingConfig, stage: str, folder: Path) -> Model:
    """As another run's stage would have left it, with weights of its own."""
    made = prepared(with_run(config, seed=7)).model
    save_model(as_trained(made, stage), folder)
    return load_model(folder)


@pytest.mark.parametrize(
    ("stage", "left"), [("context", ["local", "refined"]), ("local", ["refined"])]
)
def test_a_model_to_start_from_is_taken_over_bitwise_and_its_stages_are_left_out(
    config: TrainingConfig, tmp_path: Path, stage: str, left: list[str]
) -> None:
    given = given_model(config, stage, tmp_path / "given")

    setup = prepared(replace(config, start_from=str(tmp_path / "given")))

    ours = setup.network.state_dict()
    theirs = given.network.state_dict()
    assert theirs
    assert all(torch.equal(ours[name], of) for name, of in theirs.items())
    assert [of.name for of in setup.stages()] == left
    assert setup.model.config.normalization == given.config.normalization


def test_a_model_with_nothing_left_to_train_is_refused(
    config: TrainingConfig, tmp_path: Path
) -> None:
    given_model(config, "refined", tmp_path / "given")

    with pytest.raises(ConfigurationError, match=r"no stage to train: .* is done in start_from"):
        prepared(replace(config, start_from=str(tmp_path / "given"))).stages()


def test_a_model_of_other_classes_is_refused(config: TrainingConfig, tmp_path: Path) -> None:
    made = prepared(config).model
    classes = tuple(replace(of, name=f"my {of.name}") for of in made.config.classes)
    save_model(Model(made.network, replace(made.config, classes=classes)), tmp_path / "given")

    with pytest.raises(
        CheckpointError, match=r"^start_from has the classes my [^\n]*; the dataset has [^\n]*$"
    ):
        prepared(replace(config, start_from=str(tmp_path / "given")))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fpn_width": 12}, r"\S+ is expected as \([\d, ]+\), came as \([\d, ]+\)"),
        ({"backbone": "test_convnext"}, "its backbone is test_convnext, here it is test_resnet"),
        ({"aggregation": False}, r"aggregation\.\S+ is missing"),
    ],
)
def test_a_model_of_another_architecture_is_refused(
    config: TrainingConfig, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    other = tiny_config(Path(config.data.folder), tmp_path / "other", "deep")
    architecture = replace(other.architecture, **changes)
    given_model(replace(other, architecture=architecture), "local", tmp_path / "given")

    with pytest.raises(
        CheckpointError,
        match=rf"^start_from has trained context and local, but of another architecture: {told}; ",
    ):
        prepared(replace(config, start_from=str(tmp_path / "given")))


def test_a_local_branch_alone_is_no_start_for_one_that_hears(
    config: TrainingConfig, tmp_path: Path
) -> None:
    alone = tiny_config(Path(config.data.folder), tmp_path / "other", "local only")
    given_model(alone, "local", tmp_path / "given")

    with pytest.raises(CheckpointError, match="start_from has trained local, but of another"):
        prepared(replace(config, start_from=str(tmp_path / "given")))


def test_a_model_of_other_bands_is_refused(config: TrainingConfig, tmp_path: Path) -> None:
    made = prepared(config).model
    wide = replace(
        made.config,
        normalization=replace(made.config.normalization, mean=(0.0,) * 5, std=(1.0,) * 5),
    )
    save_model(as_trained(new_model(wide), "context"), tmp_path / "given")

    with pytest.raises(CheckpointError, match="start_from takes 5 bands; the images have 3"):
        prepared(replace(config, start_from=str(tmp_path / "given")))


def test_a_start_that_is_no_model_is_refused(config: TrainingConfig, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere"):
        prepared(replace(config, start_from=str(tmp_path / "nowhere")))


def test_weights_that_cannot_be_fetched_are_told(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> Model:
        raise OSError("No route to host.")

    monkeypatch.setattr("glnet.training.preparation.new_model", offline)

    with pytest.raises(
        ConfigurationError, match=r"weights of test_resnet cannot be fetched: No route to host; "
    ):
        prepared(config)
