import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glnet.geometry import Size, Window
from glnet.training.augmentation import Turn, random_turn, read_turned

TURNS = [Turn(quarters, mirrored) for quarters in range(4) for mirrored in (False, True)]

sizes = st.builds(Size, st.integers(1, 9), st.integers(1, 9))


@st.composite
def windows(draw: st.DrawFn, raster: Size) -> Window:
    row = draw(st.integers(0, raster.height - 1))
    column = draw(st.integers(0, raster.width - 1))
    height = draw(st.integers(1, raster.height - row))
    return Window(row, column, Size(height, draw(st.integers(1, raster.width - column))))


@given(turn=st.sampled_from(TURNS), raster=sizes, data=st.data())
def test_a_window_of_a_turned_raster_is_a_slice_of_the_turned_array(
    turn: Turn, raster: Size, data: st.DataObject
) -> None:
    array = np.arange(2 * raster.area).reshape(2, raster.height, raster.width)
    window = data.draw(windows(turn.size(raster)))

    read = read_turned(lambda at: array[:, *at.slices], turn, window, raster)

    np.testing.assert_array_equal(read, turn.apply(array)[:, *window.slices])


@given(turn=st.sampled_from(TURNS), raster=sizes)
def test_size_is_that_of_the_turned_array(turn: Turn, raster: Size) -> None:
    array = np.zeros((raster.height, raster.width))

    assert turn.apply(array).shape == (turn.size(raster).height, turn.size(raster).width)


@given(turn=st.sampled_from(TURNS), raster=sizes)
def test_the_whole_turned_raster_comes_from_the_whole(turn: Turn, raster: Size) -> None:
    assert turn.source(Window(0, 0, turn.size(raster)), raster) == Window(0, 0, raster)


def test_the_eight_turns_differ() -> None:
    array = np.arange(6).reshape(2, 3)

    turned = {(of.shape, of.tobytes()) for of in (turn.apply(array).copy() for turn in TURNS)}

    assert len(turned) == 8


@pytest.mark.parametrize(
    ("flips", "quarter_turns"), list(itertools.product((False, True), repeat=2))
)
def test_random_turns_are_all_that_the_switches_allow(flips: bool, quarter_turns: bool) -> None:
    rng = random.Random(0)

    drawn = {random_turn(rng, flips=flips, quarter_turns=quarter_turns) for _ in range(200)}

    allowed = {
        turn
        for turn in TURNS
        if (flips or not turn.mirrored) and (quarter_turns or not turn.quarters)
    }
    assert drawn == allowed
