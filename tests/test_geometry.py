import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glnet.errors import GeometryError
from glnet.geometry import (
    GridRule,
    Size,
    Window,
    patch_grid,
    published_starts,
    starts,
    strips,
)

REFERENCE = Path(__file__).parents[2] / "shared" / "reference"

lengths = st.integers(1, 3000)


@st.composite
def intervals(draw: st.DrawFn) -> tuple[int, int, int]:
    length = draw(lengths)
    size = draw(st.integers(1, length))
    return length, size, draw(st.integers(0, size - 1))


@given(intervals())
def test_starts_cover_without_hanging_over_and_overlap_evenly(case: tuple[int, int, int]) -> None:
    length, size, overlap = case

    places = starts(length, size, overlap)

    steps = [after - before for before, after in itertools.pairwise(places)]
    assert places[0] == 0
    assert places[-1] == length - size
    assert all(step <= size - overlap for step in steps)
    assert not steps or max(steps) - min(steps) <= 1


@given(lengths, lengths, st.integers(60, 600), st.sampled_from(GridRule))
def test_patch_grid_covers_every_pixel(height: int, width: int, side: int, rule: GridRule) -> None:
    grid = patch_grid(Size(height, width), Size(side, side), overlap=20, rule=rule)

    for places, length, size in (
        (grid.rows, height, grid.patch.height),
        (grid.columns, width, grid.patch.width),
    ):
        covered = {pixel for start in places for pixel in range(start, start + size)}
        assert covered == set(range(length))
    assert all(window.is_inside(grid.raster) for window in grid)
    assert len(list(grid)) == len(grid)


@pytest.mark.skipif(not REFERENCE.exists(), reason="the published grids are not on this machine")
def test_published_starts_equal_the_published_grids() -> None:
    cases = json.loads((REFERENCE / "patch_grids.json").read_text())

    assert cases
    for case in cases:
        assert published_starts(case["height"], case["patch"]) == case["tops"]
        assert published_starts(case["width"], case["patch"]) == case["lefts"]
        raster, patch = Size(case["height"], case["width"]), Size(case["patch"], case["patch"])
        assert len(patch_grid(raster, patch, 0, GridRule.PUBLISHED)) == case["patches"]


def test_published_starts_of_the_papers_benchmarks() -> None:
    assert published_starts(2448, 508) == [0, 388, 776, 1164, 1552, 1940]
    assert len(published_starts(5000, 508)) == 11


@given(lengths, st.integers(1, 4000))
def test_strips_partition_the_rows(length: int, height: int) -> None:
    rows = [row for strip in strips(Size(length, 3), height) for row in _rows(strip)]

    assert rows == list(range(length))


def _rows(window: Window) -> range:
    return range(window.row, window.row_stop)


@pytest.mark.parametrize(
    ("length", "size", "overlap"), [(10, 11, 0), (10, 0, 0), (10, 5, 5), (10, 5, -1)]
)
def test_starts_refuse_what_cannot_be(length: int, size: int, overlap: int) -> None:
    with pytest.raises(GeometryError):
        starts(length, size, overlap)


def test_published_starts_refuse_patches_within_the_overlap() -> None:
    with pytest.raises(GeometryError, match="over 50 px"):
        published_starts(100, 50)


def test_windows_and_sizes_refuse_what_cannot_be() -> None:
    with pytest.raises(GeometryError):
        Size(0, 5)
    with pytest.raises(GeometryError):
        Window(-1, 0, Size(1, 1))
    with pytest.raises(GeometryError):
        patch_grid(Size(9, 9), Size(4, 4), 4, GridRule.EXACT)
    with pytest.raises(GeometryError):
        list(strips(Size(3, 3), 0))
