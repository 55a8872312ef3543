"""Strips of summed patch scores against sums written out over the whole raster."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from glnet.geometry import GridRule, PatchGrid, Size, Window, patch_grid, strips
from glnet.inference.blending import Blending, Weights
from glnet.inference.scratch import Scratch
from glnet.inference.stitching import Stitcher, stretch
from glnet.model.resampling import Sampling

CPU = torch.device("cpu")
few = settings(deadline=None, max_examples=25)
samplings = st.sampled_from(("exact", "published"))
seeds = st.integers(0, 2**31)
blendings = st.sampled_from(("feathered", "uniform"))


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
@given(grids(), st.integers(1, 100), samplings, blendings, seeds, st.data())
def test_strips_of_any_height_are_weighted_sums_over_all_patches(
    grid: PatchGrid,
    height: int,
    sampling: Sampling,
    blending: Blending,
    seed: int,
    data: st.DataObject,
) -> None:
    skipped = data.draw(st.frozensets(st.integers(0, len(grid) - 1)))
    weights = Weights(grid, blending)
    stitcher = Stitcher(grid, sampling, weights, skipped)
    everything = Window(0, 0, grid.raster)
    with Scratch.alone(len(grid), (2, 6, 5)) as scratch:
        scores = _filled(scratch, grid, seed)

        parts = [stitcher.stitch(scratch, strip, CPU) for strip in strips(grid.raster, height)]
        whole = stitcher.stitch(scratch, everything, CPU)

    assert torch.equal(torch.cat(parts, dim=1), whole)
    expected, weight = torch.zeros_like(whole), torch.zeros_like(whole[0])
    for patch, (of, (row, column)) in enumerate(zip(scores, grid.places, strict=True)):
        if patch not in skipped:
            share = torch.outer(
                torch.from_numpy(weights.rows[row]), torch.from_numpy(weights.columns[column])
            )
            inside = grid.window(row, column).slices
            expected[:, *inside] += _enlarged(of, grid.patch, sampling) * share
            weight[inside] += share
    torch.testing.assert_close(whole, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(stitcher.weight(everything, CPU), weight, rtol=1e-5, atol=1e-5)


@few
@given(grids())
def test_feathered_weights_sum_to_one_and_fade_towards_borders(grid: PatchGrid) -> None:
    weights = Weights(grid, "feathered")

    total = Stitcher(grid, "exact", weights).weight(Window(0, 0, grid.raster), CPU)

    torch.testing.assert_close(total, torch.ones_like(total), rtol=1e-5, atol=1e-5)
    assert weights.rows.min() > 0
    for k, start in enumerate(grid.rows):
        own = weights.rows[k]
        if k == 0:
            assert own[0] == pytest.approx(1)
        elif grid.rows[k - 1] + grid.patch.height > start:
            assert own[0] < 0.5 or len(own) == 1


def test_the_pixels_of_one_patch_alone_are_its_scores() -> None:
    grid = patch_grid(Size(100, 100), Size(60, 60), 20, GridRule.EXACT)
    rows = Weights(grid, "feathered").rows

    assert np.array_equal(rows[0, :40], np.ones(40, np.float32))
    assert rows[0, 40:] == pytest.approx((19.5 - np.arange(20)) / 20)
    assert rows[0, 40:] + rows[1, :20] == pytest.approx(1)


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
    with Scratch.alone(1, (2, 8, 8)) as scratch:
        _filled(scratch, grid, 0)

        stitcher = Stitcher(grid, "exact", Weights(grid, "uniform"))
        part = stitcher.stitch(scratch, Window(0, 0, Size(3, 1)), CPU)
        whole = stitcher.stitch(scratch, Window(0, 0, grid.raster), CPU)

    assert torch.equal(part, whole[:, :3, :1])


def test_a_strip_below_the_grid_is_refused() -> None:
    grid = patch_grid(Size(32, 32), Size(32, 32), 0, GridRule.EXACT)

    with (
        Scratch.alone(1, (2, 8, 8)) as scratch,
        pytest.raises(ValueError, match="outside the grid"),
    ):
        Stitcher(grid, "exact", Weights(grid, "uniform")).stitch(
            scratch, Window(32, 0, Size(1, 32)), CPU
        )
