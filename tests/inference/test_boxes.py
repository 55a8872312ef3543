"""Boxes hold all foreground, as much background as is asked for, and a patch."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from glnet.errors import ConfigurationError
from glnet.geometry import Size, Window
from glnet.inference.boxes import Mask, boxes_of
from glnet.inference.coarse import foreground_of
from glnet.model.config import CoarseToFine

ONE, EACH = CoarseToFine(), CoarseToFine(boxes="each")
TINY = Size(1, 1)

masks = arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14)))
sides = st.integers(1, 90)
rules = st.builds(
    CoarseToFine, boxes=st.sampled_from(["one", "each"]), ratio=st.sampled_from([0.3, 1.0, 4.0])
)


def _disc(side: int, row: float, column: float, radius: float) -> Mask:
    rows, columns = np.mgrid[:side, :side]
    return np.asarray((rows - row) ** 2 + (columns - column) ** 2 <= radius**2)


def _foreground_share(mask: Mask, box: Window) -> float:
    return float(mask[box.slices].mean())


@given(mask=masks, height=sides, width=sides, rule=rules, least=st.integers(1, 40))
def test_boxes_hold_all_foreground_without_overlaps(
    mask: Mask, height: int, width: int, rule: CoarseToFine, least: int
) -> None:
    raster = Size(height, width)

    boxes = boxes_of(mask, raster, rule, Size(least, least))

    covered = np.zeros((height, width), dtype=bool)
    for box in boxes:
        assert box.is_inside(raster)
        assert box.size.height >= min(least, height)
        assert box.size.width >= min(least, width)
        covered[box.slices] = True
    for row, column in np.argwhere(mask):
        cell = (
            slice(row * height // mask.shape[0], -(-(row + 1) * height // mask.shape[0])),
            slice(column * width // mask.shape[1], -(-(column + 1) * width // mask.shape[1])),
        )
        assert covered[cell].all()
    assert all(one.shared(other) is None for one, other in combinations(boxes, 2))
    assert boxes == boxes_of(mask.copy(), raster, rule, Size(least, least))
    assert bool(boxes) == bool(mask.any())


@given(mask=masks, height=sides, width=sides)
def test_a_lower_ratio_never_loses_a_pixel(mask: Mask, height: int, width: int) -> None:
    boxes = [
        boxes_of(mask, Size(height, width), CoarseToFine(ratio=ratio), TINY)
        for ratio in (4.0, 1.0, 0.5, 0.1)
    ]

    for narrow, wide in pairwise(boxes):
        assert all(of.shared(wide[0]) == of for of in narrow)


def test_a_box_is_relaxed_until_foreground_and_background_are_equal() -> None:
    mask = _disc(200, 90, 110, 30)

    (box,) = boxes_of(mask, Size(200, 200), ONE, TINY)

    # One pixel less on all sides, and foreground would be more than half of it.
    smaller = Window(box.row + 1, box.column + 1, Size(box.size.height - 2, box.size.width - 2))
    assert _foreground_share(mask, box) <= 0.5 < _foreground_share(mask, smaller)
    assert box.size.height == box.size.width == 2 * (90 - box.row) + 1


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.5])
def test_a_box_of_much_background_has_its_margin(margin: float) -> None:
    mask = np.zeros((100, 100), dtype=bool)
    mask[30, 40:61] = mask[30:41, 40] = True
    rule = CoarseToFine(margin=margin)

    (box,) = boxes_of(mask, Size(100, 100), rule, TINY)

    height, width = 11 + 2, 21 + 2  # with a cell on every side
    down, across = math.ceil(margin * height), math.ceil(margin * width)
    assert box == Window(29 - down, 39 - across, Size(height + 2 * down, width + 2 * across))


@pytest.mark.parametrize("shift", [(0, 0), (7, 3), (-9, 12)])
def test_a_box_moves_with_its_foreground(shift: tuple[int, int]) -> None:
    mask = _disc(120, 60, 55, 12)
    moved = np.roll(mask, shift, axis=(0, 1))

    (box,) = boxes_of(mask, Size(480, 240), ONE, Size(40, 40))
    (other,) = boxes_of(moved, Size(480, 240), ONE, Size(40, 40))

    assert other == Window(box.row + 4 * shift[0], box.column + 2 * shift[1], box.size)


def test_foreground_at_the_edge_has_its_box_relaxed_inwards() -> None:
    mask = _disc(100, 0, 50, 20)

    (box,) = boxes_of(mask, Size(100, 100), ONE, TINY)

    assert box.row == 0
    assert _foreground_share(mask, box) <= 0.5


@pytest.mark.parametrize("rule", [ONE, EACH])
def test_foreground_everywhere_is_the_whole_raster(rule: CoarseToFine) -> None:
    boxes = boxes_of(np.ones((10, 10), dtype=bool), Size(333, 777), rule, TINY)

    assert boxes == (Window(0, 0, Size(333, 777)),)


def test_every_component_has_a_box_of_its_own_on_request() -> None:
    mask = _disc(200, 40, 40, 10) | _disc(200, 150, 140, 20)

    assert len(boxes_of(mask, Size(200, 200), ONE, TINY)) == 1
    boxes = boxes_of(mask, Size(200, 200), EACH, TINY)

    assert [of.shared(Window(40, 40, TINY)) is not None for of in boxes] == [True, False]
    assert sum(of.size.area for of in boxes) < 60 * 60 + 30 * 30


def test_boxes_that_touch_become_one() -> None:
    mask = _disc(200, 80, 80, 10) | _disc(200, 80, 104, 10)

    assert len(boxes_of(mask, Size(200, 200), EACH, TINY)) == 1


def test_a_raster_smaller_than_a_patch_is_the_box() -> None:
    mask = np.zeros((30, 400), dtype=bool)
    mask[10:15, 100:105] = True

    boxes = boxes_of(mask, Size(30, 400), ONE, Size(64, 64))

    assert [(of.row, of.size) for of in boxes] == [(0, Size(30, 64))]


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_foreground_is_what_is_probable_enough(seed: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    logits = torch.randn(1, 2, 5, 7, generator=torch.Generator().manual_seed(seed))
    size = Size(5, 7)

    probable = logits.softmax(dim=1)[0, 1].numpy()
    loose, strict = (foreground_of(logits, size, of)[0] for of in (low, high))

    assert np.array_equal(foreground_of(logits, size, 0.5)[0], logits[0].argmax(0).numpy() > 0)
    assert not (strict & ~loose).any()
    assert np.array_equal(loose, probable > low) or np.isclose(probable, low).any()


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, math.nan])
def test_a_threshold_is_between_0_and_1(threshold: float) -> None:
    with pytest.raises(ConfigurationError, match=r"coarse_to_fine.threshold must be between"):
        CoarseToFine(threshold=threshold)
