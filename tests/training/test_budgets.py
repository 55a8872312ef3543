"""The memory of a step is that of a micro-batch: counted in bytes of tensors, never timed."""

from pathlib import Path
from typing import Any

import pytest
import torch

from glnet.geometry import Size
from glnet.inference.live_bytes import LiveBytes
from glnet.model.config import Framing
from glnet.training.tasks import Choice
from tests.model.tiny import tiny_model
from tests.training.looks import (
    CPU,
    PlainBackward,
    Source,
    chosen,
    feed,
    module_for,
    write_speckled,
)

SMALL = Framing(patch_size=40, thumbnail_size=40, overlap=8)
FEW, MANY = Size(104, 104), Size(392, 392)
"""A grid of 3 x 3 small patches, and one of 12 x 12."""

MICRO_BATCH = 3


def peak_of_a_step(name: str, folder: Path, size: Size, choice: Choice) -> tuple[int, int]:
    """Most bytes at once, and how many patches the image has."""
    model = tiny_model()
    module = module_for(name, model)
    module.hold()
    source = Source(model, write_speckled(folder, 1, size), SMALL)
    patches = 0
    for parameter in module.trained.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with LiveBytes() as live:
        for portion in feed(name, source, choice).step(0, 0, CPU):
            module.step.see(portion, PlainBackward())
            patches = len(portion.task.look.grid)
    return live.peak, patches


@pytest.mark.parametrize("name", ["local", "refined"])
def test_the_memory_of_a_step_does_not_grow_with_the_patches_of_an_image(
    name: str, tmp_path: Path
) -> None:
    few, many = (
        peak_of_a_step(name, tmp_path, size, chosen(name, 0, MICRO_BATCH)) for size in (FEW, MANY)
    )

    assert (few[1], many[1]) == (9, 144)
    assert many[0] < 1.1 * few[0]


@pytest.mark.parametrize("name", ["local", "refined"])
def test_the_memory_of_a_step_does_not_grow_with_its_images(name: str, tmp_path: Path) -> None:
    model = tiny_model()
    module = module_for(name, model)
    module.hold()
    peaks = []
    for number in (2, 6):
        source = Source(model, write_speckled(tmp_path, number))
        for parameter in module.trained.parameters():
            parameter.grad = torch.zeros_like(parameter)
        with LiveBytes() as live:
            for portion in feed(name, source, chosen(name, 4, 2)).step(0, 0, CPU):
                module.step.see(portion, PlainBackward())
        peaks.append(live.peak)

    assert peaks[1] < 1.1 * peaks[0]


def test_the_memory_of_a_step_grows_with_the_micro_batch(tmp_path: Path) -> None:
    """Or else what is counted is not what a step takes."""
    small, large = (
        peak_of_a_step("local", tmp_path, FEW, chosen("local", 0, micro_batch))[0]
        for micro_batch in (1, 9)
    )

    assert large > 1.5 * small


def test_kept_maps_do_not_hold_those_they_were_merged_with(tmp_path: Path) -> None:
    """A map of the batch that is merged would hold all of the batch, if it were not copied."""
    model = tiny_model()
    module = module_for("refined", model)
    module.hold()
    choice = Choice(patches=1, micro_batch=1, merged=9)
    source = Source(model, write_speckled(tmp_path, 1, FEW), SMALL)

    portions = iter(feed("refined", source, choice).step(0, 0, CPU))
    module.step.see(next(portions), None)

    step: Any = module.step
    (kept,) = step._merging.fused.values()
    assert kept.untyped_storage().nbytes() == kept.nbytes
