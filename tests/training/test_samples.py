from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from glnet.data import Sample
from glnet.geometry import PatchGrid, Size
from glnet.model.config import Framing
from glnet.training.augmentation import Turn
from glnet.training.config import Placement
from glnet.training.samples import Choice, Look, PatchSamples, ThumbnailSamples
from tests.training.labelled_files import labelled, write_pair

EVERY_TURN = Choice(flips=True, quarter_turns=True)


@pytest.fixture
def pair(tmp_path: Path) -> Sample:
    return write_pair(tmp_path)


def looks(
    pair: Sample, choice: Choice, number: int = 20, framing: Framing | None = None
) -> list[Look]:
    samples = PatchSamples([labelled(pair, framing)], choice, 0)
    assert len(samples) == 1
    return [samples[0] for _ in range(number)]


def assert_same(one: Look, other: Look) -> None:
    assert (one.turn, one.patches.grid, one.patches.places) == (
        other.turn,
        other.patches.grid,
        other.patches.places,
    )
    for ours, theirs in zip(
        [*one.thumbnail, *one.patches[:2]], [*other.thumbnail, *other.patches[:2]], strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("placement", ["grid", "random"])
def test_patches_are_what_their_places_say(pair: Sample, placement: Placement) -> None:
    choice = replace(EVERY_TURN, patches=3, placement=placement)

    for look in looks(pair, choice):
        windows = [look.patches.grid.window(*place) for place in look.patches.places]
        assert len(windows) == 3
        assert all(window.is_inside(look.turn.size(look.image.size)) for window in windows)
        np.testing.assert_array_equal(look.patches.pixels, look.image.pixels(windows, look.turn))
        np.testing.assert_array_equal(look.patches.labels, look.image.labels(windows, look.turn))
        np.testing.assert_array_equal(look.thumbnail.pixels, look.image.thumbnail(look.turn).pixels)


def test_patches_of_the_grid_are_members_of_it(pair: Sample) -> None:
    for look in looks(pair, replace(EVERY_TURN, patches=3)):
        assert look.patches.grid == look.image.grid(look.turn)
        assert len(set(look.patches.places)) == 3


@pytest.mark.parametrize("patches", [0, 1000])
def test_no_number_and_a_large_one_take_the_whole_grid(pair: Sample, patches: int) -> None:
    (look,) = looks(pair, Choice(patches=patches), 1)

    assert look.patches.places == look.image.grid(Turn()).places


def test_without_a_number_as_many_random_patches_as_the_grid_has(pair: Sample) -> None:
    (look,) = looks(pair, Choice(placement="random"), 1)

    assert len(look.patches.places) == len(look.image.grid(Turn()))


def test_random_patches_reach_every_edge(pair: Sample) -> None:
    drawn = looks(pair, Choice(patches=60, placement="random"), 5)
    size = drawn[0].image.size
    rows = {row for look in drawn for row in look.patches.grid.rows}
    columns = {column for look in drawn for column in look.patches.grid.columns}
    assert (min(rows), max(rows)) == (0, size.height - 64)
    assert (min(columns), max(columns)) == (0, size.width - 64)


@pytest.mark.parametrize("placement", ["grid", "random"])
def test_an_image_smaller_than_a_patch_is_one_patch(pair: Sample, placement: Placement) -> None:
    framing = Framing(patch_size=100, thumbnail_size=64, overlap=10, reduction=2)
    choice = Choice(patches=1, placement=placement)

    (look,) = looks(pair, choice, 1, framing)

    size = look.image.size
    assert look.patches.grid == PatchGrid(size, size, (0,), (0,))
    assert look.patches.pixels.shape == (1, 3, size.height // 2, size.width // 2)
    assert look.patches.labels.shape == (1, size.height // 2, size.width // 2)


def test_an_image_smaller_along_one_axis_has_patches_along_the_other(pair: Sample) -> None:
    framing = Framing(patch_size=100, thumbnail_size=64, overlap=10)

    (look,) = looks(pair, Choice(), 1, framing)

    assert look.image.size == Size(144, 96)
    assert look.patches.pixels.shape == (2, 3, 100, 96)


def test_repeatable_choices_repeat(pair: Sample) -> None:
    first, *others = looks(pair, replace(EVERY_TURN, patches=2, repeatable=True), 5)

    for other in others:
        assert_same(first, other)


def test_choices_change_from_epoch_to_epoch(pair: Sample) -> None:
    drawn = looks(pair, replace(EVERY_TURN, patches=2))

    assert len({look.turn for look in drawn}) > 4
    assert len({tuple(look.patches.places) for look in drawn}) > 4


def test_the_same_seed_gives_the_same_looks(pair: Sample) -> None:
    choice = replace(EVERY_TURN, patches=2)

    for one, other in zip(looks(pair, choice), looks(pair, choice), strict=True):
        assert_same(one, other)


def test_another_seed_gives_other_looks(pair: Sample) -> None:
    samples = PatchSamples([labelled(pair)], EVERY_TURN, 0)
    turns = [samples[0].turn for _ in range(20)]

    samples.reseed(1)

    assert [samples[0].turn for _ in range(20)] != turns
    samples.reseed(0)
    assert [samples[0].turn for _ in range(20)] == turns


def test_thumbnails_come_in_every_turn(pair: Sample) -> None:
    samples = ThumbnailSamples([labelled(pair)], EVERY_TURN, 0)

    drawn = {samples[0].labels.numpy().tobytes() for _ in range(100)}

    assert len(samples) == 1
    assert len(drawn) == 8


def test_thumbnails_repeat_after_the_same_seed(pair: Sample) -> None:
    samples = ThumbnailSamples([labelled(pair)], EVERY_TURN, 0)
    drawn = [samples[0].labels.numpy().tobytes() for _ in range(20)]

    samples.reseed(0)

    assert [samples[0].labels.numpy().tobytes() for _ in range(20)] == drawn


def test_a_look_goes_to_a_device_with_all_its_tensors(pair: Sample) -> None:
    (look,) = looks(pair, Choice(), 1)

    moved = look.to(torch.device("meta"))

    tensors = [*moved.thumbnail, moved.patches.pixels, moved.patches.labels]
    assert {of.device.type for of in tensors} == {"meta"}
    assert moved.patches.places == look.patches.places
