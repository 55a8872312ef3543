"""Portions are what their tasks say, read from the files."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from glnet.data import Sample
from glnet.geometry import Size
from glnet.model.config import Framing
from glnet.training.augmentation import Turn
from glnet.training.choices import Placement
from glnet.training.images import LabelledImage
from glnet.training.plan import Plan
from glnet.training.portions import Portion, Portions
from glnet.training.tasks import Choice, Task, Tint, image_by_image, thumbnails_at_once
from tests.training.labelled_files import (
    LEVELS,
    drawn_labels,
    labelled,
    labels_in,
    write_pair,
)

SIZE = Size(144, 96)
FREE = Choice(patches=3, flips=True, quarter_turns=True, micro_batch=2)
EPOCHS = range(8)


@pytest.fixture
def pair(tmp_path: Path) -> Sample:
    return write_pair(tmp_path)


def portions_of(
    image: LabelledImage, choice: Choice, epoch: int = 0, *, has_thumbnails: bool = True
) -> list[Portion]:
    plan = Plan([SIZE], image.framing, choice, 1, image_by_image, "seed")
    read = Portions([image], has_thumbnails=has_thumbnails)
    return [read[task] for task in plan.tasks(epoch, 0)]


@pytest.mark.parametrize("placement", ["grid", "random"])
def test_labels_are_those_at_the_tasks_places_however_the_image_lies(
    pair: Sample, placement: Placement
) -> None:
    image, truth = labelled(pair), drawn_labels()

    for epoch in EPOCHS:
        for portion in portions_of(image, replace(FREE, placement=placement), epoch):
            look = portion.task.look
            assert portion.labels is not None
            for place, of in zip(portion.task.places, portion.labels, strict=True):
                window = look.grid.window(*place)
                np.testing.assert_array_equal(of, look.turn.apply(truth)[window.slices])


def test_pixels_show_what_the_labels_say(pair: Sample) -> None:
    """Of these files, the label of a pixel can be read off its grey."""
    image = labelled(pair)

    for epoch in EPOCHS:
        for portion in portions_of(image, FREE, epoch):
            assert portion.pixels is not None
            assert portion.labels is not None
            np.testing.assert_array_equal(labels_in(portion.pixels[:, 0].numpy()), portion.labels)


def test_the_first_portion_of_an_image_opens_it(pair: Sample) -> None:
    image = labelled(pair)

    for epoch in EPOCHS:
        first, *others = portions_of(image, FREE, epoch)
        look = first.task.look
        assert first.opening is not None
        assert first.opening.thumbnail is not None
        expected = image.thumbnail(look.turn)
        torch.testing.assert_close(first.opening.thumbnail, expected, rtol=0, atol=0)
        assert others
        assert all(of.opening is None for of in others)


def test_counts_are_those_of_all_labels_that_are_read(pair: Sample) -> None:
    image = labelled(pair)

    for epoch in EPOCHS:
        portions = portions_of(image, replace(FREE, placement="random"), epoch)
        opening = portions[0].opening
        assert opening is not None
        read = np.concatenate([of.labels for of in portions if of.labels is not None])
        assert read.size == 3 * 64 * 64
        np.testing.assert_array_equal(opening.counts, np.bincount(read.ravel(), minlength=4))


def test_without_a_context_branch_no_thumbnail_is_read(pair: Sample) -> None:
    first, *_ = portions_of(labelled(pair), FREE, has_thumbnails=False)

    assert first.opening is not None
    assert first.opening.thumbnail is None


def test_an_images_thumbnail_and_patches_stand_in_one_light(pair: Sample) -> None:
    image = labelled(pair)
    lit, plain = (
        portions_of(image, replace(FREE, photometric=strength)) for strength in (0.5, 0.0)
    )

    gain, offset = lit[0].task.look.tint
    look = plain[0].task.look
    assert (gain, offset) != (1.0, 0.0)
    assert look.tint == Tint()
    for portion in lit:
        windows = [portion.task.look.grid.window(*place) for place in portion.task.places]
        pixels = image.pixels(windows, portion.task.look.turn)
        torch.testing.assert_close(portion.pixels, gain * pixels + offset)
    opening = lit[0].opening
    assert opening is not None
    assert opening.thumbnail is not None
    thumbnail = image.thumbnail(lit[0].task.look.turn)
    torch.testing.assert_close(opening.thumbnail.pixels, gain * thumbnail.pixels + offset)
    assert torch.equal(opening.thumbnail.labels, thumbnail.labels)


def test_patches_that_are_merged_bring_no_labels_and_those_kept_no_pixels(pair: Sample) -> None:
    for merged in portions_of(labelled(pair), Choice(patches=2, micro_batch=2, merged=4)):
        is_merged = merged.task.purpose == "merge"
        assert (merged.pixels is not None) == is_merged
        assert (merged.labels is not None) == (not is_merged)


def test_thumbnails_of_several_images_come_at_once(tmp_path: Path) -> None:
    images = [labelled(write_pair(tmp_path, stem, seed=k)) for k, stem in enumerate("abc")]
    plan = Plan([SIZE] * 3, images[0].framing, FREE, 3, thumbnails_at_once, "seed")
    read = Portions(images, has_thumbnails=True)

    for task in plan.tasks(0, 0):
        portion = read[task]
        assert portion.thumbnails is not None
        assert portion.stems == tuple(images[look.image].stem for look in task.looks)
        for k, look in enumerate(task.looks):
            expected = images[look.image].thumbnail(look.turn)
            assert torch.equal(portion.thumbnails.pixels[k], expected.pixels)
            assert torch.equal(portion.thumbnails.labels[k], expected.labels)


def test_nothing_is_read_for_a_process_that_waits() -> None:
    portion = Portions([], has_thumbnails=True)[Task()]

    assert portion == Portion(Task())


@pytest.mark.parametrize("placement", ["grid", "random"])
def test_an_image_smaller_than_a_patch_is_one_patch(pair: Sample, placement: Placement) -> None:
    framing = Framing(patch_size=100, thumbnail_size=64, overlap=10, reduction=2)

    (portion,) = portions_of(labelled(pair, framing), Choice(patches=1, placement=placement))

    assert portion.pixels is not None
    assert portion.labels is not None
    assert portion.pixels.shape == (1, 3, SIZE.height // 2, SIZE.width // 2)
    assert portion.labels.shape == (1, SIZE.height // 2, SIZE.width // 2)


def test_an_image_smaller_along_one_axis_has_patches_along_the_other(pair: Sample) -> None:
    framing = Framing(patch_size=100, thumbnail_size=64, overlap=10)

    (portion,) = portions_of(labelled(pair, framing), Choice())

    assert portion.pixels is not None
    assert portion.pixels.shape == (2, 3, 100, 96)


def test_a_portion_goes_to_a_device_with_all_its_tensors(pair: Sample) -> None:
    first, *_ = portions_of(labelled(pair), FREE)
    thumbnails = labelled(pair).thumbnail(Turn())

    moved = first._replace(thumbnails=thumbnails).to(torch.device("meta"))

    assert moved.thumbnails is not None
    assert moved.opening is not None
    assert moved.opening.thumbnail is not None
    tensors = [*moved.thumbnails, *moved.opening.thumbnail, moved.opening.counts]
    tensors += [of for of in (moved.pixels, moved.labels) if of is not None]
    assert len(tensors) == 7
    assert {of.device.type for of in tensors} == {"meta"}
    assert (moved.task, moved.stems) == (first.task, first.stems)


def test_a_portion_without_anything_goes_to_a_device(pair: Sample) -> None:
    assert Portion(Task()).to(torch.device("meta")) == Portion(Task())
    _, second, *_ = portions_of(labelled(pair), FREE)
    assert second.to(torch.device("meta")).opening is None


def test_tasks_and_portions_travel_between_processes(pair: Sample) -> None:
    first, *_ = portions_of(labelled(pair), FREE)

    assert pickle.loads(pickle.dumps(first.task)) == first.task


def test_foreground_is_where_other_classes_than_the_first_are(pair: Sample) -> None:
    marks = labelled(pair).foreground()

    truth = drawn_labels()
    points = [truth[int(row * SIZE.height), int(column * SIZE.width)] for row, column in marks]
    assert 100 < len(points) <= 1024
    # Thumbnails average: at the border of two squares a cell may show either.
    assert np.mean(np.array(points) > 0) > 0.95
    assert len(LEVELS) == len(set(np.unique(truth)))
