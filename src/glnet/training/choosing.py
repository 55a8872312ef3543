"""Which patches of an image a step sees, by luck: members of its grid, or places anywhere."""

import random
from collections.abc import Sequence

from glnet.geometry import PatchGrid
from glnet.model.exchange import PatchIndex
from glnet.training.tasks import Choice


def choose(
    grid: PatchGrid, choice: Choice, rng: random.Random, marks: Sequence[tuple[float, float]] = ()
) -> tuple[PatchGrid, list[PatchIndex]]:
    """Pick patches of the grid, or make a list of places anywhere.

    Args:
        grid: Of the turned image.
        choice: How many, where, and what share of them must show a mark.
        rng: Whose luck decides.
        marks: Points of foreground, as shares of the height and width.
    """
    number = choice.patches or len(grid)
    wanted = sum(rng.random() < choice.foreground for _ in range(number)) if marks else 0
    if choice.placement == "grid":
        return grid, _members(grid, min(number, len(grid)), wanted, rng, marks)
    rows, columns = zip(
        *(_place(grid, rng, marks if k < wanted else ()) for k in range(number)), strict=True
    )
    return PatchGrid(grid.raster, grid.patch, rows, columns), [(k, k) for k in range(number)]


def _members(
    grid: PatchGrid,
    number: int,
    wanted: int,
    rng: random.Random,
    marks: Sequence[tuple[float, float]],
) -> list[PatchIndex]:
    """Different patches of the grid, ``wanted`` of them with a mark as far as there are such."""
    marked = sorted({_member(grid, mark) for mark in marks})
    chosen = rng.sample(marked, min(wanted, number, len(marked)))
    others = [place for place in grid.places if place not in set(chosen)]
    return sorted([*chosen, *rng.sample(others, number - len(chosen))])


def _member(grid: PatchGrid, mark: tuple[float, float]) -> PatchIndex:
    """The patch of the grid whose middle is nearest to a mark."""
    down = mark[0] * grid.raster.height - grid.patch.height / 2
    across = mark[1] * grid.raster.width - grid.patch.width / 2
    return (
        min(range(len(grid.rows)), key=lambda k: abs(grid.rows[k] - down)),
        min(range(len(grid.columns)), key=lambda k: abs(grid.columns[k] - across)),
    )


def _place(
    grid: PatchGrid, rng: random.Random, marks: Sequence[tuple[float, float]]
) -> tuple[int, int]:
    """Row and column of a patch anywhere; with marks, one of them lies inside."""
    down, across = grid.raster.height - grid.patch.height, grid.raster.width - grid.patch.width
    if not marks:
        return rng.randint(0, down), rng.randint(0, across)
    row, column = marks[rng.randrange(len(marks))]
    top = int(row * grid.raster.height) - rng.randrange(grid.patch.height)
    left = int(column * grid.raster.width) - rng.randrange(grid.patch.width)
    return min(max(top, 0), down), min(max(left, 0), across)
