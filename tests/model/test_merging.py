"""What the patches of one raster become in the thumbnail's frame."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from glnet.geometry import GridRule, PatchGrid, Size, patch_grid
from glnet.model.exchange import Exchange
from glnet.model.features import BranchFeatures, HeardFeatures, Levels
from glnet.model.merging import Merger
from glnet.model.resampling import Axis
from tests.model.axes import few, grids
from tests.model.slow_sampling import place

GLOBAL_SIZES = ((12, 11), (6, 6), (3, 3), (2, 2))
PATCH_SIZES = ((10, 9), (5, 5), (3, 3), (2, 2))


def _features(
    batch: int, sizes: tuple[tuple[int, int], ...], value: float | None
) -> BranchFeatures:
    def levels(channels: int) -> Levels:
        shapes = [(batch, channels, *size) for size in sizes]
        return tuple(
            torch.randn(shape) if value is None else torch.full(shape, value) for shape in shapes
        )

    return BranchFeatures(levels(3), levels(2), levels(2), levels(1))


def _merged(grid: PatchGrid, patches: BranchFeatures, order: list[int], batch: int) -> list[Tensor]:
    merger = Merger(Exchange(grid, "exact"), _features(1, GLOBAL_SIZES, 0))
    for first in range(0, len(order), batch):
        some = order[first : first + batch]
        merger.add(patches.map(lambda _, of: of[some]), [grid.places[k] for k in some])  # noqa: B023
    return _maps(merger.merged(torch.float32))


def _maps(heard: HeardFeatures) -> list[Tensor]:
    return [of.map for levels in heard for of in levels]


@few
@given(grids(), st.integers(1, 4))
def test_merging_patches_of_a_constant_gives_that_constant(grid: PatchGrid, batch: int) -> None:
    patches = _features(len(grid), PATCH_SIZES, 2.5)

    for of in _merged(grid, patches, list(range(len(grid))), batch):
        torch.testing.assert_close(of, torch.full_like(of, 2.5))


@few
@given(grids(), st.data())
def test_the_order_of_patches_does_not_matter(grid: PatchGrid, data: st.DataObject) -> None:
    patches = _features(len(grid), PATCH_SIZES, None)
    order = data.draw(st.permutations(range(len(grid))))

    shuffled = _merged(grid, patches, order, 3)

    torch.testing.assert_close(shuffled, _merged(grid, patches, list(range(len(grid))), 1))


@settings(deadline=None, max_examples=4)
@given(grids())
def test_merging_is_every_cells_mean_of_the_samples_about_it(grid: PatchGrid) -> None:
    patches = _features(len(grid), PATCH_SIZES, None)

    merged = _merged(grid, patches, list(range(len(grid))), 2)

    for of, parts in zip(merged, [of for levels in patches for of in levels], strict=True):
        torch.testing.assert_close(of[0], _slow_merge(grid, parts, of.shape[2:]))


def _slow_merge(grid: PatchGrid, parts: Tensor, size: torch.Size) -> Tensor:
    """Every sample of every patch adds itself to the cells about its true place."""
    sums, weights = torch.zeros(parts.shape[1], *size), torch.zeros(size)
    for part, (row, column) in zip(parts, grid.places, strict=True):
        down = _reach(grid.raster.height, grid.patch.height, grid.rows[row], size[0], part.shape[1])
        across = _reach(
            grid.raster.width, grid.patch.width, grid.columns[column], size[1], part.shape[2]
        )
        for j, cells_down in enumerate(down):
            for k, cells_across in enumerate(across):
                for y, by in cells_down.items():
                    for x, bx in cells_across.items():
                        sums[:, y, x] += by * bx * part[:, j, k]
                        weights[y, x] += by * bx
    return sums / weights


def _reach(
    length: int, extent: int, start: int, cells: int, samples: int
) -> list[dict[int, float]]:
    """For every sample the cells that it reaches and how much it counts there."""
    axis, step = Axis(length, extent, (start,)), extent / samples * cells / length
    reach = []
    for sample in range(samples):
        at = place(axis, start, sample, cells, samples)
        weights = {cell: 1 - abs(at - cell) / max(1.0, step) for cell in range(cells)}
        reach.append({cell: weight for cell, weight in weights.items() if weight > 0})
    return reach


def test_a_patch_is_merged_once_and_all_must_be() -> None:
    grid = patch_grid(Size(60, 60), Size(40, 36), 0, GridRule.EXACT)
    merger = Merger(Exchange(grid, "exact"), _features(1, GLOBAL_SIZES, 0))
    one = _features(1, PATCH_SIZES, 1)
    merger.add(one, [(0, 0)])

    with pytest.raises(ValueError, match="only once"):
        merger.add(one, [(0, 0)])
    with pytest.raises(ValueError, match="only once"):
        merger.add(_features(2, PATCH_SIZES, 1), [(0, 1), (0, 1)])
    with pytest.raises(ValueError, match="3 patches are not merged yet"):
        merger.merged(torch.float32)


def test_merging_sums_in_float32_whatever_precision_the_network_runs_in() -> None:
    grid = patch_grid(Size(60, 60), Size(40, 36), 0, GridRule.EXACT)
    patches = _features(len(grid), PATCH_SIZES, None)
    order = list(range(len(grid)))

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = _merged(grid, patches, order, 2)

    torch.testing.assert_close(found, _merged(grid, patches, order, 2), rtol=0, atol=0)
