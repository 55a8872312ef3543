"""Patches along an axis, and grids of them, drawn at random."""

from hypothesis import assume, settings
from hypothesis import strategies as st

from glnet.geometry import GridRule, PatchGrid, Size, patch_grid, published_starts, starts
from glnet.model.resampling import Axis
from tests.model.slow_sampling import published_place

few = settings(deadline=None, max_examples=40)
"""Torch's first call of a kind takes long, so there is no deadline."""

map_sides = st.integers(1, 14)


@st.composite
def exact_axes(draw: st.DrawFn) -> Axis:
    length = draw(st.integers(1, 90))
    extent = draw(st.integers(max(1, length // 4), length))
    overlap = draw(st.integers(0, extent // 2))
    return Axis(length, extent, tuple(starts(length, extent, min(overlap, extent - 1))))


@st.composite
def published_axes(draw: st.DrawFn) -> Axis:
    extent = draw(st.integers(60, 130))
    length = draw(st.integers(extent + 1, 3 * extent))
    return Axis(length, extent, tuple(published_starts(length, extent)))


def assume_published_runs(axis: Axis, cells: int) -> None:
    """Leave out maps so small that the published code itself fails: empty or hanging cuts."""
    for start in axis.starts:
        first, number = published_place(axis, start, cells)
        assume(number >= 1)
        assume(first + number <= cells)


@st.composite
def grids(draw: st.DrawFn) -> PatchGrid:
    raster = Size(draw(st.integers(40, 110)), draw(st.integers(40, 110)))
    return patch_grid(raster, Size(40, 36), draw(st.integers(0, 20)), GridRule.EXACT)
