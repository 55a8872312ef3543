"""How long the rest of a stage takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glnet.training.following.timing import estimate_left


@given(st.integers(0, 50), st.integers(1, 50), st.integers(0, 50), st.floats(0.1, 10))
def test_at_an_even_pace_the_estimate_is_right(
    before: int, here: int, to_come: int, pace: float
) -> None:
    left = estimate_left(before, before + here, before + here + to_come, here * pace)

    assert left == pytest.approx(to_come * pace)


def test_epochs_of_an_earlier_process_say_nothing_of_the_pace() -> None:
    assert estimate_left(90, 92, 100, 10) == 8 * 5
    assert estimate_left(0, 92, 100, 10) == pytest.approx(8 * 10 / 92)


def test_nothing_is_known_before_something_is_done() -> None:
    assert estimate_left(3, 3, 10, 0.1) is None
    assert estimate_left(10, 10, 10, 0.1) == 0


@pytest.mark.parametrize(("before", "done", "total"), [(2, 1, 3), (0, 4, 3), (-1, 1, 3)])
def test_epochs_that_do_not_follow_each_other_are_refused(
    before: int, done: int, total: int
) -> None:
    with pytest.raises(ValueError, match="before, now, in all"):
        estimate_left(before, done, total, 1)
