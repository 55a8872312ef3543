"""A look at a box of an image is a look at that box cut out and saved as an image of its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from glnet.data import Sample
from glnet.geometry import Size, Window
from glnet.model.config import Framing, Normalization
from glnet.training.augmentation import Turn
from glnet.training.choices import Placement
from glnet.training.images import LabelledImage, PixelCache
from glnet.training.plan import Plan
from glnet.training.portions import Portion, Portions
from glnet.training.tasks import Choice, Schedule, image_by_image, thumbnails_at_once
from tests.training.looks import DESCRIPTION, write_speckled

SIZE = Size(200, 230)
BOX = Window(17, 42, Size(131, 99))
FRAMING = Framing(patch_size=64, thumbnail_size=48, overlap=16)
TURNS = [Turn(quarters, mirrored) for quarters in range(4) for mirrored in (False, True)]
FREE = Choice(patches=4, flips=True, quarter_turns=True, photometric=0.3, micro_batch=2)
CHOICES = {
    "grid": FREE,
    "anywhere": replace(FREE, placement="random"),
    "merged": replace(FREE, merged=3),
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return write_speckled(tmp_path_factory.mktemp("speckled"), size=SIZE)[0]


def labelled(sample: Sample, framing: Framing, cache: PixelCache | None = None) -> LabelledImage:
    normalization = Normalization((100.0, 90.0, 80.0), (60.0, 50.0, 40.0))
    return LabelledImage(sample, DESCRIPTION, framing, normalization, cache or PixelCache(2**30))


def cut_out(sample: Sample, box: Window, folder: Path) -> Sample:
    """The box of an image and of its mask, as files."""
    assert sample.mask is not None
    image, mask = folder / "cut.png", folder / "cut_mask.png"
    edges = (box.column, box.row, box.column_stop, box.row_stop)
    for path, cut in ((sample.image, image), (sample.mask, mask)):
        Image.open(path).crop(edges).save(cut)
    return Sample(sample.stem, image, mask)


def assert_same(ours: Portion, theirs: Portion) -> None:
    """All that a step takes from a portion, to the last bit."""
    assert (ours.opening is None) == (theirs.opening is None)
    pairs = [(ours.pixels, theirs.pixels), (ours.labels, theirs.labels)]
    pairs += zip(ours.thumbnails or (), theirs.thumbnails or (), strict=True)
    if ours.opening is not None and theirs.opening is not None:
        pairs.append((ours.opening.counts, theirs.opening.counts))
        pairs += zip(ours.opening.thumbnail or (), theirs.opening.thumbnail or (), strict=True)
    assert any(of is not None for of, _ in pairs)
    for of, other in pairs:
        assert (of is None) == (other is None)
        if of is not None and other is not None:
            assert torch.equal(of, other)


def portions_of(
    image: LabelledImage, size: Size, choice: Choice, schedule: Schedule, box: Window | None
) -> list[Portion]:
    plan = Plan(
        [size],
        image.framing,
        choice,
        1,
        schedule,
        "seed",
        foreground=lambda _, part: image.foreground(part),
        box=lambda *_: box,
    )
    read = Portions([image], has_thumbnails=True)
    return [read[task] for epoch in range(6) for task in plan.tasks(epoch, 0)]


@pytest.mark.parametrize("cache_bytes", [0, 2**30])
@pytest.mark.parametrize("reduction", [1, 2])
@pytest.mark.parametrize("name", [*CHOICES, "thumbnails"])
def test_a_boxed_look_is_one_at_the_box_as_a_file(
    name: str, reduction: int, cache_bytes: int, sample: Sample, tmp_path: Path
) -> None:
    framing = replace(FRAMING, patch_size=64 // reduction, overlap=8, reduction=reduction)
    framing = replace(framing, patch_size=max(framing.patch_size, 32))
    image = labelled(sample, framing, PixelCache(cache_bytes))
    alone = labelled(cut_out(sample, BOX, tmp_path), framing)
    choice = CHOICES.get(name, FREE)
    schedule = thumbnails_at_once if name == "thumbnails" else image_by_image

    ours = portions_of(image, SIZE, choice, schedule, BOX)
    theirs = portions_of(alone, BOX.size, choice, schedule, None)

    assert len(ours) >= 6
    for of, other in zip(ours, theirs, strict=True):
        looks = tuple(replace(look, box=None) for look in of.task.looks)
        assert replace(of.task, looks=looks) == other.task
        assert_same(of, other)


@pytest.mark.parametrize("cache_bytes", [0, 2**30])
def test_thumbnails_of_the_whole_image_and_of_boxes_do_not_get_mixed_up(
    cache_bytes: int, sample: Sample, tmp_path: Path
) -> None:
    whole = labelled(sample, FRAMING).thumbnail()
    alone = labelled(cut_out(sample, BOX, tmp_path), FRAMING).thumbnail()
    image = labelled(sample, FRAMING, PixelCache(cache_bytes))

    for _ in range(2):
        for seen, expected in ((image.within(BOX), alone), (image, whole)):
            for turn in TURNS:
                pixels, labels = seen.thumbnail(turn)
                np.testing.assert_array_equal(pixels, turn.apply(expected.pixels.numpy()))
                np.testing.assert_array_equal(labels, turn.apply(expected.labels.numpy()))


def test_a_box_of_a_box_lies_where_it_is_said_to(sample: Sample) -> None:
    image, window = labelled(sample, FRAMING), Window(5, 4, Size(64, 64))
    inner = image.within(BOX).within(Window(10, 20, Size(90, 70)))

    ours = inner.pixels([window], Turn())

    assert torch.equal(ours, image.pixels([window.moved(27, 62)], Turn()))
    assert inner.size == Size(90, 70)


def test_marks_of_a_box_are_those_of_the_image_that_lie_in_it(sample: Sample) -> None:
    image = labelled(sample, FRAMING)
    whole = [(row * SIZE.height, column * SIZE.width) for row, column in image.foreground()]

    marks = image.foreground(BOX)

    ours = [
        (BOX.row + row * BOX.size.height, BOX.column + column * BOX.size.width)
        for row, column in marks
    ]
    inside = [
        (row, column)
        for row, column in whole
        if BOX.row < row < BOX.row_stop and BOX.column < column < BOX.column_stop
    ]
    assert 100 < len(inside) < len(whole) <= 1024
    np.testing.assert_allclose(ours, inside, atol=1e-9)


def test_marks_of_a_small_box_are_not_thinned_out_by_those_elsewhere(tmp_path: Path) -> None:
    (sample,) = write_speckled(tmp_path, size=Size(900, 900))
    image = labelled(sample, replace(FRAMING, thumbnail_size=300))
    box = Window(0, 0, Size(90, 90))

    thinned = [mark for mark in image.foreground() if max(mark) < 90 / 900]

    assert len(image.foreground()) <= 1024
    assert len(image.foreground(box)) > 3 * len(thinned) > 0


@pytest.mark.parametrize("placement", ["grid", "random"])
def test_patches_that_must_show_foreground_do_so_in_the_box(
    placement: Placement, tmp_path: Path
) -> None:
    """A spot in the corner of a large box; patches elsewhere in the box do not show it."""
    labels = np.zeros((SIZE.height, SIZE.width), np.uint8)
    labels[160:172, 200:212] = 1
    labels[:60, :60] = 2  # beyond the box
    sample = Sample("spot", tmp_path / "spot.png", tmp_path / "mask.png")
    Image.fromarray(labels.repeat(3).reshape(*labels.shape, 3)).save(sample.image)
    Image.fromarray(labels).save(tmp_path / "mask.png")
    image, box = labelled(sample, FRAMING), Window(62, 70, Size(130, 150))
    choice = replace(FREE, patches=1, placement=placement, foreground=1.0)

    portions = portions_of(image, SIZE, choice, image_by_image, box)

    assert len(portions) == 6
    for portion in portions:
        assert portion.labels is not None
        assert (portion.labels == 1).any()


def test_boxes_travel_to_the_processes_that_read(sample: Sample) -> None:
    """The image in another process knows of the box from the task alone."""
    image = labelled(sample, FRAMING)
    (portion, *_) = portions_of(image, SIZE, FREE, image_by_image, BOX)

    again = Portions([labelled(sample, FRAMING)], has_thumbnails=True)[portion.task]

    assert_same(again, portion)
