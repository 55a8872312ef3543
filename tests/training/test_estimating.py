"""What is estimated is what a real step takes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from glnet.errors import ConfigurationError
from glnet.geometry import Size
from glnet.inference.live_bytes import LiveBytes
from glnet.inference.settings import Precision
from glnet.model.build import build_glnet
from glnet.training import estimating
from glnet.training.config import CoarseToFineTraining, TrainingConfig
from glnet.training.estimating import Sample, StepEstimate, estimate_steps
from glnet.training.feeding import Feed
from glnet.training.portions import Portion
from glnet.training.preparation import Setup
from glnet.training.stages import StageModule
from glnet.training.tasks import Task
from tests.model.tiny import ARCHITECTURES
from tests.training.boxed_run import GROUND, boxed_config, write_spots
from tests.training.looks import CPU, PlainBackward
from tests.training.tiny_run import SCENE, tiny_config, with_run, with_stages, write_scenes

CLASSES = 5
"""Of the drawn scenes."""

NOWHERE = tiny_config(Path(), Path())
"""An estimate reads nothing."""


def estimates(
    config: TrainingConfig, size: Size = SCENE, device: str = "cpu"
) -> dict[str, StepEstimate]:
    """By stage."""
    return {of.stage: of for of in estimate_steps(config, CLASSES, 3, size, device, "float32")}


def measured(config: TrainingConfig) -> dict[str, tuple[int, int]]:
    """By stage: peak of tensors in the second real step, weights included, and multiply-adds."""
    write = write_scenes if config.coarse_to_fine is None else write_spots
    setup = Setup(config, write(Path(config.data.folder), train=3))
    weights = sum(of.numel() * of.element_size() for of in setup.network.state_dict().values())
    found = {}
    for stage in setup.stages():
        setup.start(stage)
        module = StageModule(stage.step, stage.config, config.run, stage.feeds)
        module.hold()
        optimizer = module.configure_optimizers()["optimizer"]
        with FlopCounterMode(display=False) as counter, LiveBytes("cpu") as live:
            module.move(_fed(stage.feeds.training, 0), optimizer, PlainBackward())
            live.peak, before = live.now, counter.get_total_flops()
            module.move(_fed(stage.feeds.training, 1), optimizer, PlainBackward())
        found[stage.name] = live.peak + weights, (counter.get_total_flops() - before) // 2
    return found


def _fed(feed: Feed, epoch: int) -> Iterator[Portion]:
    """Patches are copied, as to another device: what numpy has made would not be counted."""
    for portion in feed.step(epoch, 0, CPU):
        is_made_by_torch = portion.thumbnails is not None
        yield portion if is_made_by_torch else tree_map_only(Tensor, torch.clone, portion)


@pytest.mark.parametrize(
    ("row", "backbone", "changes"),
    [
        ("bidirectional", "resnet18", {"images": 2, "patches": 3, "micro_batch": 2}),
        ("bidirectional", "test_resnet", {"images": 3, "patches": 2, "micro_batch": 6}),
        ("bidirectional, shallow", "test_resnet", {"images": 1, "patches": 0, "micro_batch": 4}),
        ("local only", "test_resnet", {"images": 2, "patches": 5, "micro_batch": 1}),
    ],
)
def test_a_step_takes_what_was_estimated(
    row: str, backbone: str, changes: dict[str, int], tmp_path: Path
) -> None:
    config = with_stages(tiny_config(tmp_path / "data", tmp_path / "run", row), **changes)
    config = replace(
        config,
        architecture=replace(config.architecture, backbone=backbone),
        data=replace(config.data, flips=False, quarter_turns=False),
    )

    found = estimates(config)

    real = measured(config)
    assert list(found) == list(real)
    for stage, (peak, multiply_adds) in real.items():
        assert found[stage].device_bytes == pytest.approx(peak, rel=0.01)
        assert found[stage].multiply_adds == multiply_adds


def test_steps_that_look_at_boxes_take_what_was_estimated_for_the_boxes_size(
    tmp_path: Path,
) -> None:
    """So little foreground may come on the background that a box is the image."""
    how = CoarseToFineTraining(truth=1.0, jitter=0.0, ratio=1e-6)
    config = boxed_config(tmp_path / "data", tmp_path / "run", how=how)
    config = replace(config, data=replace(config.data, flips=False, quarter_turns=False))
    config = with_stages(config, images=2, patches=3, micro_batch=2)

    found = {of.stage: of for of in estimate_steps(config, 2, 3, GROUND, "cpu", "float32")}

    real = measured(config)
    assert list(found) == list(real) == ["coarse", "context", "local", "refined"]
    for stage, (peak, multiply_adds) in real.items():
        assert found[stage].device_bytes == pytest.approx(peak, rel=0.01)
        assert found[stage].multiply_adds == multiply_adds


def test_coarse_to_fine_of_many_classes_is_refused() -> None:
    config = replace(NOWHERE, coarse_to_fine=CoarseToFineTraining())

    with pytest.raises(ConfigurationError, match="got 5 classes; for many classes, leave it out"):
        estimates(config)


def _all(tasks: Sequence[Task]) -> list[Sample]:
    return [Sample(task, 1) for task in tasks]


@pytest.mark.parametrize(
    ("row", "stage", "changes"),
    [
        ("aggregation only", "local", {"images": 3, "patches": 5, "micro_batch": 1}),
        ("bidirectional, shallow", "refined", {"images": 1, "patches": 0, "micro_batch": 2}),
        ("bidirectional, shallow", "refined", {"images": 1, "patches": 2, "micro_batch": 2}),
    ],
    ids=["images and patches", "patches run again", "patches kept"],
)
def test_two_of_what_is_alike_tell_the_rest(
    row: str, stage: str, changes: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = with_stages(tiny_config(Path(), Path(), row), stage, **changes)
    config = with_run(staged, patch_batch=1)

    brief = estimates(config)

    monkeypatch.setattr(estimating, "shortened", _all)
    assert brief == estimates(config)


def test_what_is_run_does_not_grow_with_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = []
    original = estimating.shortened

    def noted(tasks: Sequence[Task]) -> list[Sample]:
        samples = original(tasks)
        numbers.append((len(tasks), len(samples)))
        return samples

    monkeypatch.setattr(estimating, "shortened", noted)
    config = with_stages(with_stages(NOWHERE, images=9, patches=0), "refined")
    (found,) = estimates(config, Size(5_000, 5_000)).values()

    ((tasks, run),) = numbers
    assert tasks > 10_000
    assert run < 20
    assert found.multiply_adds > 0


def test_memory_is_that_of_a_micro_batch() -> None:
    small, again, large = (
        estimates(with_stages(NOWHERE, "local", patches=0, images=images, micro_batch=at_once))
        for images, at_once in ((2, 2), (5, 2), (2, 8))
    )

    assert small["local"].device_bytes == again["local"].device_bytes
    assert 5 * small["local"].multiply_adds == 2 * again["local"].multiply_adds
    assert large["local"].device_bytes > 1.5 * small["local"].device_bytes


def test_devices_share_the_work_and_not_the_weights() -> None:
    config = with_stages(NOWHERE, "context", images=4, micro_batch=4)

    (alone,) = estimates(config).values()
    (shared,) = estimates(with_run(config, devices=2)).values()

    assert shared.multiply_adds == alone.multiply_adds
    assert 0.5 < shared.device_bytes / alone.device_bytes < 0.9


def test_the_optimiser_on_a_gpu_takes_another_copy_of_what_it_moves() -> None:
    config = with_stages(NOWHERE, "context", images=1)
    config = replace(
        config, architecture=replace(ARCHITECTURES["global only"], backbone="resnet18")
    )

    (on_cpu,), (on_gpu,) = (estimates(config, device=of).values() for of in ("cpu", "cuda"))

    network = build_glnet(config.architecture, 3, CLASSES)
    weights = sum(4 * of.numel() for of in network.parameters())
    assert on_gpu.device_bytes > on_cpu.device_bytes
    assert 5 * weights < on_gpu.device_bytes < 5.5 * weights


@pytest.mark.parametrize(
    ("classes", "bands", "side", "precision", "expected"),
    [
        (1, 3, 99, "float32", "a model has 2 to 255 classes, got 1"),
        (5, 0, 99, "float32", "images have at least 1 band, got 0"),
        (5, 3, 32, "float32", "training needs images with sides over 32 px, got 32x32"),
        (5, 3, 99, "bfloat16", "training is estimated in float32 only, got bfloat16"),
    ],
)
def test_what_cannot_be_is_refused(
    classes: int, bands: int, side: int, precision: Precision, expected: str
) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        estimate_steps(NOWHERE, classes, bands, Size(side, side), "cuda", precision)
