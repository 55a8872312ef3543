"""What patches hear of the thumbnail's frame, and the matrices for it without their zeros."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from glnet.geometry import PatchGrid
from glnet.model.exchange import Exchange, banded
from glnet.model.resampling import Axis, crop_matrices, merge_matrices
from tests.model.axes import exact_axes, few, grids, map_sides


@few
@given(grids())
def test_cropping_the_rasters_coordinates_gives_the_patches_coordinates(grid: PatchGrid) -> None:
    """A map that holds each cell's own row, cropped, holds the rows of the patch's samples."""
    cells, samples, exchange = 23, 8, Exchange(grid, "exact")
    scale = grid.raster.height / cells
    rows = (torch.arange(cells, dtype=torch.float64) + 0.5) * scale
    context = rows[:, None].expand(cells, 5)[None, None]

    heard = exchange.hear(context, torch.Size((samples, samples)), grid.places)

    step = grid.patch.height / samples
    for of, (row, _) in zip(heard.resampled(), grid.places, strict=True):
        wanted = grid.rows[row] + (torch.arange(samples, dtype=torch.float64) + 0.5) * step
        wanted = wanted.clamp(scale / 2, grid.raster.height - scale / 2)
        torch.testing.assert_close(of[0], wanted[:, None].expand(samples, samples))


@few
@given(exact_axes(), map_sides, map_sides, st.integers(1, 3), st.integers(0, 2**31))
def test_banded_matrices_keep_the_product(
    axis: Axis, cells: int, samples: int, channels: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(cells, channels, generator=generator, dtype=torch.float64)
    crop = crop_matrices(axis, cells, samples, "exact")

    kept = banded(crop)

    support = kept.matrices.shape[-1]
    assert support <= cells
    for matrix, part, first in zip(crop, kept.matrices, kept.offsets, strict=True):
        torch.testing.assert_close(part @ values[first : first + support], matrix @ values)


def test_banded_matrices_of_many_patches_are_narrow() -> None:
    axis = Axis(2448, 508, tuple(range(0, 1941, 388)))

    kept = banded(crop_matrices(axis, 127, 127, "exact"))
    merged = banded(merge_matrices(axis, 127, 127, "exact").transpose(1, 2))

    assert kept.matrices.shape[-1] <= 29
    assert merged.matrices.shape[-1] <= 29
