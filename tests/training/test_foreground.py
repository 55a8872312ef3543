"""Patches that must show some foreground do; without any, patches are chosen as ever."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glnet.geometry import Size, Window
from glnet.training.augmentation import Turn
from glnet.training.choices import Placement
from glnet.training.plan import Plan
from glnet.training.tasks import Choice, Look, image_by_image
from tests.training.tiny_run import FRAMING

SIZE = Size(200, 330)
Mark = tuple[float, float]

shares = st.floats(0.001, 0.999)
marks = st.lists(st.tuples(shares, shares), min_size=1, max_size=5)


def looks(choice: Choice, seen: list[Mark], size: Size = SIZE, epochs: int = 3) -> list[Look]:
    plan = Plan([size], FRAMING, choice, 1, image_by_image, "seed", foreground=lambda *_: seen)
    return [plan.tasks(epoch, 0)[0].look for epoch in range(epochs)]


def shown(look: Look, size: Size, mark: Mark) -> list[bool]:
    """Whether each patch shows a point of the image as its file has it."""
    row, column = int(mark[0] * size.height), int(mark[1] * size.width)
    windows = [look.turn.source(look.grid.window(*place), size) for place in look.learn]
    return [_has(window, row, column) for window in windows]


def _has(window: Window, row: int, column: int) -> bool:
    return window.row <= row < window.row_stop and window.column <= column < window.column_stop


def _middle(mark: Mark, size: Size) -> Mark:
    """Of the pixel at a mark."""
    row, column = mark
    return (
        (int(row * size.height) + 0.5) / size.height,
        (int(column * size.width) + 0.5) / size.width,
    )


@given(
    seen=marks,
    flips=st.booleans(),
    quarter_turns=st.booleans(),
    size=st.builds(Size, st.integers(40, 300), st.integers(40, 300)),
)
def test_every_random_patch_shows_a_mark_however_the_image_is_turned(
    seen: list[Mark], flips: bool, quarter_turns: bool, size: Size
) -> None:
    choice = Choice(
        patches=4, placement="random", foreground=1.0, flips=flips, quarter_turns=quarter_turns
    )
    # The middle of a pixel, so that turning does not round it into the next one.
    middles = [_middle(mark, size) for mark in seen]

    for look in looks(choice, middles, size):
        each = [shown(look, size, mark) for mark in middles]
        assert all(any(of) for of in zip(*each, strict=True))
        assert len(look.learn) == 4


@given(seen=marks, quarter_turns=st.booleans())
def test_a_patch_of_the_grid_shows_the_only_mark(seen: list[Mark], quarter_turns: bool) -> None:
    mark = _middle(seen[0], SIZE)
    choice = Choice(patches=3, foreground=1.0, flips=True, quarter_turns=quarter_turns)

    for look in looks(choice, [mark]):
        assert any(shown(look, SIZE, mark))
        assert len(set(look.learn)) == 3
        assert set(look.learn) <= set(look.grid.places)


def test_grid_patches_with_marks_are_all_taken_before_others() -> None:
    corners = [(0.01, 0.01), (0.01, 0.99), (0.99, 0.01)]
    choice = Choice(patches=4, foreground=1.0)

    for look in looks(choice, corners, epochs=10):
        assert all(any(shown(look, SIZE, mark)) for mark in corners)
        assert len(set(look.learn)) == 4


@pytest.mark.parametrize("placement", ["grid", "random"])
def test_more_marks_than_patches_give_patches_with_marks(placement: Placement) -> None:
    everywhere = [(row / 40, column / 40) for row in range(1, 40) for column in range(1, 40)]
    choice = Choice(patches=2, placement=placement, foreground=1.0)

    assert all(len(look.learn) == 2 for look in looks(choice, everywhere, epochs=10))


def test_about_the_share_that_is_asked_for_shows_foreground() -> None:
    """A mark in the corner, which patches anywhere hardly ever show."""
    size = Size(3000, 3000)
    choice = Choice(patches=100, placement="random", foreground=0.3)

    (look,) = looks(choice, [(0.0001, 0.0001)], size, epochs=1)

    assert 15 <= sum(shown(look, size, (0.0001, 0.0001))) <= 45


@pytest.mark.parametrize("placement", ["grid", "random"])
def test_without_any_mark_patches_are_chosen_as_without_asking(placement: Placement) -> None:
    choice = Choice(patches=3, placement=placement, flips=True, foreground=1.0)

    assert looks(choice, []) == looks(replace(choice, foreground=0.0), [(0.5, 0.5)])


def test_marks_are_not_asked_for_where_they_do_not_matter() -> None:
    def asked(number: int, _: Window | None) -> list[Mark]:
        pytest.fail(f"image {number} was read for nothing")

    plan = Plan([SIZE], FRAMING, Choice(), 1, image_by_image, "seed", foreground=asked)

    assert plan.tasks(0, 0)


def test_turning_does_not_depend_on_marks() -> None:
    choice = Choice(patches=3, placement="random", flips=True, quarter_turns=True)

    turns = [look.turn for look in looks(replace(choice, foreground=1.0), [(0.5, 0.5)], epochs=9)]

    assert turns == [look.turn for look in looks(choice, [], epochs=9)]
    assert Turn() not in turns or len(set(turns)) > 1
