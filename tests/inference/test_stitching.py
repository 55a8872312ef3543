"""Strips of summed patch scores against sums written out over the whole raster."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from glnet.geometry import GridRule, PatchGrid, Size, Window, patch_grid, strips
from glnet.inference.scratch import Scratch
from glnet.inference.stitching import stitch, stretch
from glnet.model.resampling import Sampling

CPU = torch.device("cpu")
few = settings(deadline=None, max_examples=25)
samplings = st.sampled_from(("exact", "published"))
seeds = st.integers(0, 2**31)


@st.composite
def grids(draw: st.DrawFn) -> PatchGrid:
    raster = Size(draw(st.integers(1, 90)), draw(st.integers(1, 90)))
    patch = Size(draw(st.integers(20, 50)), draw(st.integers(20, 50)))
    return patch_grid(raster, patch, draw(st.integers(0, 12)), GridRule.EXACT)


def _filled(scratch: Scratch, grid: PatchGrid, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = [torch.randn(scratch.frame, generator=generator) for _ in grid]
    for patch, of in enumerate(scores):
        scratch.write([patch], of[None])
    return scores


def _enlarged(scores: Tensor, size: Size, sampling: Sampling) -> Tensor:
    to = (size.height, size.width)
    if sampling == "published":
        return functional.interpolate(scores[None], to, mode="nearest")[0]
    # Torch computes places in the map's own type.
    return functional.interpolate(scores[None].double(), to, mode="bilinear")[0].float()


@few
@given(grids(), st.integers(1, 100), samplings, seeds)
def test_strips_of_any_height_are_the_sums_over_all_patches(
    grid: PatchGrid, height: int, sampling: Sampling, seed: int
) -> None:
    with Scratch(len(grid), (2, 6, 5)) as scratch:
        scores = _filled(scratch, grid, seed)

        parts = [
            stitch(scratch, grid, strip, sampling, CPU) for strip in strips(grid.raster, height)
        ]
        whole = stitch(scratch, grid, Window(0, 0, grid.raster), sampling, CPU)

    assert torch.equal(torch.cat(parts, dim=1), whole)
    expected = torch.zeros_like(whole)
    for of, window in zip(scores, grid, strict=True):
        large = _enlarged(of, grid.patch, sampling)
        expected[:, *window.slices] += large
    torch.testing.assert_close(whole, expected, rtol=1e-5, atol=1e-5)


@few
@given(grids(), st.integers(1, 100), samplings, seeds)
def test_stretched_strips_are_rows_of_the_logits_at_the_rasters_size(
    grid: PatchGrid, height: int, sampling: Sampling, seed: int
) -> None:
    logits = torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(seed))

    parts = [stretch(logits, grid, strip, sampling, CPU) for strip in strips(grid.raster, height)]

    expected = _enlarged(logits, grid.raster, sampling)
    torch.testing.assert_close(torch.cat(parts, dim=1), expected, rtol=1e-5, atol=1e-5)


def test_a_strip_may_be_narrower_than_the_grid() -> None:
    grid = patch_grid(Size(32, 32), Size(64, 64), 16, GridRule.EXACT)
    with Scratch(1, (2, 8, 8)) as scratch:
        _filled(scratch, grid, 0)

        part = stitch(scratch, grid, Window(0, 0, Size(3, 1)), "exact", CPU)
        whole = stitch(scratch, grid, Window(0, 0, grid.raster), "exact", CPU)

    assert torch.equal(part, whole[:, :3, :1])


def test_a_strip_below_the_grid_is_refused() -> None:
    grid = patch_grid(Size(32, 32), Size(32, 32), 0, GridRule.EXACT)

    with Scratch(1, (2, 8, 8)) as scratch, pytest.raises(ValueError, match="outside the grid"):
        stitch(scratch, grid, Window(32, 0, Size(1, 32)), "exact", CPU)
