"""Where methods disagree: against looking at every window."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from glnet.errors import ConfigurationError, InputMismatchError
from glnet.geometry import Size, Window
from glnet.reproduction import windows
from glnet.reproduction.windows import PARTS, Disagreement, find_disagreements
from tests.reproduction.maps import ArrayMap

Labels = NDArray[np.uint8]


def maps_of(*arrays: Labels) -> list[ArrayMap]:
    return [ArrayMap(array) for array in arrays]


def starts(length: int, side: int) -> list[int]:
    step = max(1, side // PARTS)
    return [of for of in range(length - side) if of % step == 0] + [length - side]


def by_looking(differs: NDArray[np.bool_], side: int, count: int) -> list[Disagreement]:
    """Every window in reading order, the first of most pixels, then the next apart from it."""
    height, width = differs.shape
    size = Size(min(side, height), min(side, width))
    every = [
        Window(row, column, size)
        for row in starts(height, size.height)
        for column in starts(width, size.width)
    ]
    chosen: list[Disagreement] = []
    for _ in range(count):
        apart = [of for of in every if all(of.shared(other.window) is None for other in chosen)]
        counts = [int(differs[of.slices].sum()) for of in apart]
        if not counts or max(counts) == 0:
            break
        best = counts.index(max(counts))
        chosen.append(Disagreement(apart[best], counts[best]))
    return chosen


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    side=st.integers(1, 30),
    count=st.integers(1, 3),
    strip=st.integers(1, 400),
    methods=st.integers(2, 4),
    seed=st.integers(0, 99),
)
def test_windows_are_those_found_by_looking_at_all(
    size: tuple[int, int], side: int, count: int, strip: int, methods: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    arrays = [(rng.random(size) < 0.1).astype(np.uint8) for _ in range(methods)]
    differs = np.logical_or.reduce([arrays[0] != other for other in arrays[1:]])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "STRIP_PIXELS", strip)
        found = find_disagreements(maps_of(*arrays), side, count)

    assert found == by_looking(differs, side, count)


def test_sides_of_many_pixels_move_by_an_eighth() -> None:
    array = np.zeros((300, 300), np.uint8)
    array[150:250, 37:137] = 1

    (found,) = find_disagreements(maps_of(array, np.zeros_like(array)), 100, 1)

    assert found == by_looking(array == 1, 100, 1)[0]
    assert found.pixels >= (100 - 100 / PARTS) ** 2 * 0.9


def test_there_is_no_window_where_nothing_differs() -> None:
    same = np.ones((20, 20), np.uint8)

    assert find_disagreements(maps_of(same, same, same), 5) == []


def test_memory_is_that_of_strips_and_not_of_the_maps() -> None:
    """Of maps that are made while they are read, so that no array is as large as they are."""

    class Stripes:
        name = "stripes"
        size = Size(6000, 6000)

        def __init__(self, period: int) -> None:
            self.period = period

        def read(self, window: Window) -> Labels:
            rows = np.arange(window.row, window.row_stop) // self.period % 2
            return np.repeat(rows.astype(np.uint8)[:, np.newaxis], window.size.width, axis=1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "STRIP_PIXELS", 600_000)
        tracemalloc.start()
        found = find_disagreements([Stripes(50), Stripes(70)], 400)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert len(found) == 2
    assert peak < Stripes.size.area / 2


def test_maps_that_cannot_be_compared_are_refused() -> None:
    small, large = np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8)

    with pytest.raises(InputMismatchError, match="array is 4x4, array is 4x5"):
        find_disagreements(maps_of(small, large), 2)
    with pytest.raises(ConfigurationError, match="got 1 and 2"):
        find_disagreements(maps_of(small), 2)
    with pytest.raises(ConfigurationError, match="got 2 and 0"):
        find_disagreements(maps_of(small, small), 0)
