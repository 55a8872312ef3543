"""What every step sees follows from seed, epoch and step alone, and is dealt out without loss."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glnet.geometry import Size, Window
from glnet.training.choices import Placement
from glnet.training.plan import Part, Plan
from glnet.training.tasks import Choice, Look, Schedule, Task
from glnet.training.tasks import image_by_image as by_image
from glnet.training.tasks import thumbnails_at_once as at_once
from tests.training.tiny_run import FRAMING

FREE = Choice(patches=3, flips=True, quarter_turns=True, photometric=0.2, micro_batch=2)
SIZES = [Size(160, 128), Size(70, 300), Size(64, 64), Size(50, 200), Size(130, 131)]


def plan(
    choice: Choice = FREE,
    images: int = 2,
    schedule: Schedule = by_image,
    seed: str | None = "seed",
    sizes: list[Size] = SIZES,
    *,
    is_boxed: bool = False,
) -> Plan:
    def box(number: int, rng: random.Random) -> Window | None:
        return some_box(sizes[number], rng) if is_boxed else None

    return Plan(sizes, FRAMING, choice, images, schedule, seed, box=box)


def some_box(size: Size, rng: random.Random) -> Window | None:
    """Any that a patch fits, or could; or none."""
    if rng.random() < 0.2:
        return None
    height, width = (rng.randint(min(64, side), side) for side in (size.height, size.width))
    row, column = rng.randint(0, size.height - height), rng.randint(0, size.width - width)
    return Window(row, column, Size(height, width))


def looks(tasks: list[Task]) -> list[Look]:
    """All that tasks look at, once each, in the order of their images."""
    seen: dict[int, Look] = {look.image: look for task in tasks for look in task.looks}
    return [seen[image] for image in sorted(seen)]


choices = st.builds(
    Choice,
    patches=st.integers(0, 7),
    placement=st.sampled_from(["grid", "random"]),
    flips=st.booleans(),
    quarter_turns=st.booleans(),
    photometric=st.sampled_from([0.0, 0.3]),
    micro_batch=st.integers(1, 5),
    merged=st.just(0),
)
merging = st.builds(
    Choice,
    patches=st.integers(0, 7),
    micro_batch=st.integers(1, 5),
    merged=st.integers(1, 5),
    quarter_turns=st.booleans(),
)
some_sizes = st.lists(
    st.builds(Size, st.integers(40, 300), st.integers(40, 300)), min_size=1, max_size=9
)


@pytest.mark.parametrize("is_boxed", [False, True])
def test_a_step_does_not_depend_on_what_came_before(is_boxed: bool) -> None:
    in_order = plan(is_boxed=is_boxed)
    seen = {(epoch, step): in_order.tasks(epoch, step) for epoch in (0, 1) for step in (0, 1, 2)}

    for (epoch, step), tasks in reversed(seen.items()):
        assert plan(is_boxed=is_boxed).tasks(epoch, step) == tasks


def test_epochs_and_seeds_differ() -> None:
    def all_tasks(seed: str, epoch: int) -> list[list[Task]]:
        return [plan(seed=seed).tasks(epoch, step) for step in range(3)]

    first = all_tasks("one", 0)
    assert all_tasks("one", 1) != first
    assert all_tasks("two", 0) != first


def test_boxes_differ_from_epoch_to_epoch_and_patches_lie_inside() -> None:
    of = plan(FREE, 5, is_boxed=True)

    seen = [look for epoch in range(20) for look in looks(of.tasks(epoch, 0))]

    assert len({(look.image, look.box) for look in seen}) > 60
    for look in seen:
        raster = SIZES[look.image] if look.box is None else look.box.size
        assert look.grid.raster == look.turn.size(raster)
        assert all(look.grid.window(*place).is_inside(look.grid.raster) for place in look.learn)


def test_without_a_seed_every_epoch_is_the_same_and_in_order() -> None:
    fixed = plan(images=5, seed=None)

    assert fixed.tasks(0, 0) == fixed.tasks(7, 0)
    order = [task.look.image for task in fixed.tasks(0, 0) if task.opens]
    assert order == [0, 1, 2, 3, 4]


@given(sizes=some_sizes, images=st.integers(1, 10), epoch=st.integers(0, 3))
def test_every_image_comes_once_per_epoch(sizes: list[Size], images: int, epoch: int) -> None:
    of = plan(images=images, sizes=sizes)

    seen = [look.image for step in range(of.steps) for look in looks(of.tasks(epoch, step))]

    assert sorted(seen) == list(range(len(sizes)))


@given(
    sizes=some_sizes,
    images=st.integers(1, 10),
    world=st.integers(1, 4),
    choice=st.one_of(choices, merging),
    schedule=st.sampled_from([by_image, at_once]),
    is_boxed=st.booleans(),
)
def test_processes_share_what_one_would_see(
    sizes: list[Size],
    images: int,
    world: int,
    choice: Choice,
    schedule: Schedule,
    is_boxed: bool,
) -> None:
    of = plan(choice, images, schedule, sizes=sizes, is_boxed=is_boxed)
    for step in range(of.steps):
        of.part = Part()
        alone = of.tasks(0, step)
        dealt = []
        for rank in range(world):
            of.part = Part(rank, world)
            dealt.append(of.tasks(0, step))

        assert len({len(tasks) for tasks in dealt}) == 1
        together = [task for tasks in dealt for task in tasks]
        each = [look for tasks in dealt for look in looks(tasks)]
        assert sum(look.share for look in each) == pytest.approx(1)
        assert sorted(each, key=lambda look: look.image) == looks(alone)
        assert _learnt(together) == _learnt(alone)


@given(images=st.integers(1, 12), micro_batch=st.integers(1, 4), world=st.integers(2, 4))
def test_processes_run_at_once_what_one_would(images: int, micro_batch: int, world: int) -> None:
    sizes = [SIZES[0]] * images
    of = plan(replace(FREE, micro_batch=micro_batch), images, at_once, sizes=sizes)
    alone = {tuple(look.image for look in task.looks) for task in of.tasks(0, 0)}

    dealt: list[tuple[int, ...]] = []
    for rank in range(world):
        of.part = Part(rank, world)
        dealt += [tuple(look.image for look in task.looks) for task in of.tasks(0, 0)]
    at_work = {images for images in dealt if images}

    if len(alone) >= world:
        assert at_work == alone
    else:  # more thumbnails at once than there are for each process
        assert max(map(len, at_work)) == min(micro_batch, -(-images // world))


def test_how_many_images_a_step_has() -> None:
    of = plan(images=3, sizes=[SIZES[0]] * 7)

    assert [of.images(step) for step in range(of.steps)] == [3, 3, 1]


def _learnt(tasks: list[Task]) -> Counter[object]:
    """Which places of which image are answered for; images, where thumbnails are."""
    return Counter(
        (look.image, place)
        for task in tasks
        for look in task.looks
        for place in (task.places if task.purpose else (None,))
        if task.purpose != "merge"
    )


@given(sizes=some_sizes, choice=st.one_of(choices, merging))
def test_no_task_has_more_patches_than_may_run_at_once(sizes: list[Size], choice: Choice) -> None:
    for task in plan(choice, len(sizes), sizes=sizes).tasks(0, 0):
        assert (
            1
            <= len(task.places)
            <= (choice.merged if task.purpose == "merge" else choice.micro_batch)
        )


@given(images=st.integers(1, 9), micro_batch=st.integers(1, 4))
def test_no_task_has_more_thumbnails_than_may_run_at_once(images: int, micro_batch: int) -> None:
    sizes = [Size(64, 64)] * images
    tasks = plan(Choice(micro_batch=micro_batch), images, at_once, sizes=sizes).tasks(0, 0)

    assert all(task.purpose is None and not task.places for task in tasks)
    assert all(1 <= len(task.looks) <= micro_batch for task in tasks)
    assert len(tasks) == -(-images // micro_batch)


@given(sizes=some_sizes, choice=merging)
def test_what_is_merged_is_the_whole_grid_once_and_before_what_is_learnt(
    sizes: list[Size], choice: Choice
) -> None:
    tasks = plan(choice, len(sizes), sizes=sizes).tasks(0, 0)

    for look in looks(tasks):
        own = [task for task in tasks if task.look == look]
        merged = [place for task in own if task.purpose == "merge" for place in task.places]
        learnt = [place for task in own if task.purpose == "learn" for place in task.places]
        assert merged == look.grid.places
        assert tuple(learnt) == look.learn
        purposes = [task.purpose for task in own]
        assert purposes == sorted(purposes, key=lambda of: of == "learn")


@given(sizes=some_sizes, choice=st.one_of(choices, merging))
def test_an_image_opens_first_and_closes_last_and_is_seen_in_one_go(
    sizes: list[Size], choice: Choice
) -> None:
    tasks = plan(choice, len(sizes), sizes=sizes).tasks(0, 0)

    for image in range(len(sizes)):
        numbers = [k for k, task in enumerate(tasks) if task.look.image == image]
        own = [tasks[k] for k in numbers]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert [task.opens for task in own] == [True] + [False] * (len(own) - 1)
        assert [task.closes for task in own] == [False] * (len(own) - 1) + [True]


@pytest.mark.parametrize(
    ("patches", "micro_batch", "merged", "keeps"),
    [(3, 3, 4, True), (4, 3, 4, False), (3, 3, 0, False), (0, 12, 4, True), (0, 11, 4, False)],
)
def test_what_is_seen_while_merging_is_kept_where_all_that_learns_runs_at_once(
    patches: int, micro_batch: int, merged: int, keeps: bool
) -> None:
    choice = Choice(patches=patches, micro_batch=micro_batch, merged=merged)
    tasks = plan(choice, 1, sizes=[Size(160, 208)]).tasks(0, 0)

    assert len(tasks[0].look.grid) == 12
    assert all(task.keeps == keeps for task in tasks)
    for task in tasks:
        assert task.has_pixels == (task.purpose == "merge" or not keeps)


def test_a_process_without_work_waits_as_often_as_others_work() -> None:
    of = plan(images=1)
    of.part = Part(1, 2)

    idle = of.tasks(0, 0)

    of.part = Part(0, 2)
    assert len(idle) == len(of.tasks(0, 0))
    assert all(not task.looks and not task.places for task in idle)


def test_steps_are_rounded_up() -> None:
    assert [plan(images=images).steps for images in (1, 2, 4, 5, 6)] == [5, 3, 2, 1, 1]


@pytest.mark.parametrize("placement", ["grid", "random"])
def test_patches_lie_inside_the_turned_image(placement: Placement) -> None:
    choice = replace(FREE, placement=placement)
    for epoch in range(10):
        for look in looks(plan(choice, 5).tasks(epoch, 0)):
            windows = [look.grid.window(*place) for place in look.learn]
            assert windows
            assert all(of.is_inside(look.turn.size(SIZES[look.image])) for of in windows)


def test_members_of_the_grid_are_different_ones() -> None:
    for epoch in range(10):
        for look in looks(plan(FREE, 5).tasks(epoch, 0)):
            assert look.grid == FRAMING.grid(look.turn.size(SIZES[look.image]))
            assert len(set(look.learn)) == len(look.learn) == min(3, len(look.grid))


@pytest.mark.parametrize("patches", [0, 1000])
def test_no_number_and_a_large_one_take_the_whole_grid(patches: int) -> None:
    for look in looks(plan(replace(FREE, patches=patches), 5).tasks(0, 0)):
        assert list(look.learn) == look.grid.places


def test_without_a_number_as_many_random_patches_as_the_grid_has() -> None:
    for look in looks(plan(Choice(placement="random"), 5).tasks(0, 0)):
        grid = FRAMING.grid(look.turn.size(SIZES[look.image]))
        assert len(look.learn) == len(grid)


def test_random_patches_reach_every_edge() -> None:
    of = plan(Choice(patches=60, placement="random"), 1, sizes=[Size(160, 128)])
    grids = [of.tasks(epoch, 0)[0].look.grid for epoch in range(8)]

    rows = {row for grid in grids for row in grid.rows}
    columns = {column for grid in grids for column in grid.columns}
    assert (min(rows), max(rows)) == (0, 160 - 64)
    assert (min(columns), max(columns)) == (0, 128 - 64)


def test_turns_light_and_places_change_from_epoch_to_epoch() -> None:
    seen = [looks(plan(FREE, 5).tasks(epoch, 0))[0] for epoch in range(20)]

    assert len({look.turn for look in seen}) > 4
    assert len({look.learn for look in seen}) > 4
    assert len({look.tint for look in seen}) == 20


def test_light_changes_by_its_strength_at_most() -> None:
    of = plan(replace(FREE, photometric=0.25), 5)
    tints = [look.tint for epoch in range(40) for look in looks(of.tasks(epoch, 0))]

    gains, offsets = zip(*tints, strict=True)
    assert 0.75 <= min(gains) < 0.8
    assert 1.2 < max(gains) <= 1.25
    assert -0.25 <= min(offsets) < -0.2
    assert 0.2 < max(offsets) <= 0.25


def test_without_its_strength_the_light_stays() -> None:
    of = plan(replace(FREE, photometric=0.0), 5)

    assert {look.tint for look in looks(of.tasks(0, 0))} == {(1.0, 0.0)}
