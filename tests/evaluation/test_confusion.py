import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from glnet.data import IGNORE_INDEX
from glnet.evaluation.confusion import Confusion

Maps = tuple[int, NDArray[np.uint8], NDArray[np.uint8]]


@st.composite
def maps(draw: st.DrawFn) -> Maps:
    """A number of classes, answers, and labels of which some are ignored."""
    classes = draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    known = draw(st.integers(1, classes))
    labels = rng.integers(0, known + 1, shape).astype(np.uint8)
    answered = rng.integers(0, known, shape).astype(np.uint8)
    return classes, answered, np.where(labels == known, np.uint8(IGNORE_INDEX), labels)


def counted(case: Maps) -> Confusion:
    classes, answered, labels = case
    confusion = Confusion(classes)
    confusion.add(answered, labels)
    return confusion


def pairs(case: Maps) -> list[tuple[int, int]]:
    """(label, answer) of every pixel that counts."""
    _, answered, labels = case
    every = zip(labels.flatten().tolist(), answered.flatten().tolist(), strict=True)
    return [(label, answer) for label, answer in every if label != IGNORE_INDEX]


def slow_iou(case: Maps) -> list[float]:
    answer: list[float] = []
    for each in range(case[0]):
        inside = sum(label == each and answered == each for label, answered in pairs(case))
        either = sum(each in {label, answered} for label, answered in pairs(case))
        answer.append(inside / either if either else math.nan)
    return answer


@given(maps())
def test_counts_are_those_of_a_slow_loop(case: Maps) -> None:
    counts = np.zeros((case[0], case[0]), int)
    for label, answer in pairs(case):
        counts[label, answer] += 1

    np.testing.assert_array_equal(counted(case).counts, counts)


@given(maps())
def test_ignored_pixels_are_counted_apart_by_what_they_were_answered_as(case: Maps) -> None:
    classes, answered, labels = case
    expected = [int(((labels == IGNORE_INDEX) & (answered == k)).sum()) for k in range(classes)]

    assert counted(case).result().ignored.tolist() == expected
    assert counted(case).result().rows()[-1] == expected


@given(maps())
def test_tensors_count_as_arrays_do(case: Maps) -> None:
    classes, answered, labels = case
    confusion = Confusion(classes, "cpu")

    confusion.add(torch.from_numpy(answered).long(), torch.from_numpy(labels))

    assert confusion.result() == counted(case).result()


@given(maps(), maps())
def test_counts_of_two_images_add_up(one: Maps, other: Maps) -> None:
    other = (one[0], other[1] % one[0], np.where(other[2] < one[0], other[2], IGNORE_INDEX))
    both = counted(one)

    both.add(other[1], other[2])

    assert both.result() == counted(one).result() + counted(other).result()


@given(maps())
def test_iou_is_intersection_over_union(case: Maps) -> None:
    np.testing.assert_allclose(counted(case).result().iou, slow_iou(case))


@given(maps())
def test_mean_iou_is_over_the_classes_that_occur(case: Maps) -> None:
    present = [value for value in slow_iou(case) if not math.isnan(value)]
    expected = sum(present) / len(present) if present else math.nan

    assert counted(case).mean_iou == pytest.approx(expected, nan_ok=True)


@given(maps())
def test_accuracy_is_the_share_of_right_pixels(case: Maps) -> None:
    right = [label == answer for label, answer in pairs(case)]
    expected = sum(right) / len(right) if right else math.nan

    assert counted(case).result().accuracy == pytest.approx(expected, nan_ok=True)


@given(maps())
def test_strips_add_up_to_the_whole(case: Maps) -> None:
    classes, answered, labels = case
    confusion = Confusion(classes)

    for row in range(len(labels)):
        confusion.add(answered[row : row + 1], labels[row : row + 1])

    np.testing.assert_array_equal(confusion.counts, counted(case).counts)


def test_nothing_counted_is_not_a_number() -> None:
    counts = Confusion(3).result()

    assert counts.pixels == 0
    assert np.isnan(counts.iou).all()
    assert math.isnan(counts.mean_iou)
    assert math.isnan(counts.accuracy)


def test_classes_up_to_the_last_index_are_told_apart() -> None:
    labels = np.arange(255, dtype=np.uint8)[None]
    confusion = Confusion(255)

    confusion.add(labels, labels)

    np.testing.assert_array_equal(confusion.counts, np.eye(255, dtype=int))


def test_a_count_is_one_value_and_no_window_on_what_is_counted_next() -> None:
    confusion = Confusion(2)
    before = confusion.result()

    confusion.add(np.ones((2, 2), np.uint8), np.ones((2, 2), np.uint8))

    assert before.pixels == 0
    assert len({before, confusion.result(), confusion.result()}) == 2
    assert before != "counts"


@given(maps())
def test_what_several_have_counted_adds_up(one: Maps) -> None:
    confusion, alone = counted(one), counted(one).result()

    confusion.join(lambda pairs: 3 * pairs)  # As if two others had counted the same.

    assert confusion.result() == alone + alone + alone


@pytest.mark.parametrize(("answer", "label"), [(2, 0), (0, 2), (255, 0), (0, 254)])
def test_what_is_no_class_is_refused(answer: int, label: int) -> None:
    with pytest.raises(ValueError, match="expected classes from 0 to 1"):
        Confusion(2).add(np.full((1, 1), answer, np.uint8), np.full((1, 1), label, np.uint8))


def test_maps_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        Confusion(2).add(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
