"""Local to global: what merging does to constants, and that it is what the words say."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from glnet.geometry import published_starts
from glnet.model.resampling import Axis, bilinear, crop_matrices, merge_matrices
from tests.model import slow_sampling
from tests.model.axes import (
    assume_published_runs,
    exact_axes,
    few,
    map_sides,
    published_axes,
)

seeds = st.integers(0, 2**31)


@few
@given(exact_axes(), map_sides, map_sides)
def test_exact_merge_keeps_constants(axis: Axis, cells: int, samples: int) -> None:
    merge = merge_matrices(axis, cells, samples, "exact")

    assert merge.shape == (len(axis.starts), cells, samples)
    assert merge.min() >= 0
    torch.testing.assert_close(merge.sum(dim=(0, 2)), torch.ones(cells, dtype=torch.float64))


@few
@given(exact_axes(), map_sides, map_sides)
def test_exact_merge_is_the_normalised_transpose_of_crop(
    axis: Axis, cells: int, samples: int
) -> None:
    assume(axis.extent * cells <= samples * axis.length)  # thumbnail not finer than the patches

    merge = merge_matrices(axis, cells, samples, "exact")

    turned = slow_sampling.exact_crop(axis, cells, samples).transpose(0, 2, 1)
    reached = turned.sum(axis=(0, 2))
    assert reached.min() > 0
    expected = slow_sampling.as_tensor(turned / reached[:, None])
    torch.testing.assert_close(merge, expected)


@few
@given(exact_axes(), map_sides, map_sides)
def test_exact_merge_weighs_every_sample_by_its_distance(
    axis: Axis, cells: int, samples: int
) -> None:
    merge = merge_matrices(axis, cells, samples, "exact")

    expected = slow_sampling.exact_merge(axis, cells, samples)
    assert bool(merge.isfinite().all())
    torch.testing.assert_close(merge, slow_sampling.as_tensor(expected))


@few
@given(st.integers(1, 200), st.integers(1, 20), st.integers(1, 20))
def test_exact_merge_of_one_coarse_patch_is_a_bilinear_enlargement(
    length: int, samples: int, more: int
) -> None:
    whole, cells = Axis(length, length, (0,)), samples + more

    merge = merge_matrices(whole, cells, samples, "exact")

    torch.testing.assert_close(merge[0], bilinear(samples, cells))


@few
@given(exact_axes(), map_sides)
def test_crop_then_exact_merge_of_matching_cells_is_the_identity(axis: Axis, cells: int) -> None:
    """With one sample at every cell's centre, what was cut comes back to its place."""
    whole = Axis(axis.length, axis.length, (0,))

    crop = crop_matrices(whole, cells, cells, "exact")
    merge = merge_matrices(whole, cells, cells, "exact")

    torch.testing.assert_close(merge[0] @ crop[0], torch.eye(cells, dtype=torch.float64))


@few
@given(published_axes(), published_axes(), map_sides, map_sides, map_sides, seeds)
def test_published_merge_equals_adding_then_dividing(
    rows: Axis, columns: Axis, height: int, width: int, samples: int, seed: int
) -> None:
    assume_published_runs(rows, height)
    assume_published_runs(columns, width)
    patches = (len(rows.starts), len(columns.starts))
    generator = torch.Generator().manual_seed(seed)
    shape = (*patches, 2, samples, samples + 1)
    maps = torch.randn(shape, generator=generator, dtype=torch.float64)

    down = merge_matrices(rows, height, samples, "published")
    across = merge_matrices(columns, width, samples + 1, "published")
    merged = torch.einsum("rih,rqchw,qjw->cij", down, maps, across)

    expected = slow_sampling.published_merge(rows, columns, maps, (height, width))
    torch.testing.assert_close(merged, expected)


@few
@given(published_axes(), map_sides, map_sides)
def test_published_merge_scales_a_constant_by_cuts_per_interpolated_count(
    axis: Axis, cells: int, samples: int
) -> None:
    """Cells are counted by rounded cuts but divided by pixels: only where these agree is it 1."""
    assume_published_runs(axis, cells)
    cuts = torch.zeros(cells, dtype=torch.float64)
    count = torch.zeros(axis.length, dtype=torch.float64)
    for start in axis.starts:
        first, number = slow_sampling.published_place(axis, start, cells)
        cuts[first : first + number] += 1
        count[start : start + axis.extent] += 1

    merge = merge_matrices(axis, cells, samples, "published")

    torch.testing.assert_close(merge.sum(dim=(0, 2)), cuts / (bilinear(axis.length, cells) @ count))


@pytest.mark.parametrize(
    ("length", "cells", "wrong"),
    [(2448, 127, 0.062), (2448, 32, 0), (5000, 127, 0), (5000, 64, 0.261), (5000, 16, 0.527)],
)
def test_published_merge_misses_constants_on_part_of_the_papers_maps(
    length: int, cells: int, wrong: float
) -> None:
    axis = Axis(length, 508, tuple(published_starts(length, 508)))

    ones = merge_matrices(axis, cells, cells, "published").sum(dim=(0, 2))

    right = (ones - 1).abs() < 1e-9
    assert 1 - float(torch.outer(right, right).double().mean()) == pytest.approx(wrong, abs=1e-3)
