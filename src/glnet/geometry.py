"""Sizes, windows and patch grids: whole pixels, (row, column) and (height, width), half-open."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from math import ceil

from glnet.errors import GeometryError

PUBLISHED_LEAST_OVERLAP = 50
"""The published code adds patches until neighbours share at least this many pixels."""


@dataclass(frozen=True, slots=True)
class Size:
    """A height and a width in whole pixels, both at least 1.

    Raises:
        GeometryError: If a side is under 1.
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise GeometryError(f"a size needs sides of at least 1 pixel, got {self}")

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"

    @property
    def area(self) -> int:
        """The number of pixels."""
        return self.height * self.width


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of whole pixels, from (row, column) on, in raster coordinates.

    Raises:
        GeometryError: If it starts above or left of the raster.
    """

    row: int
    column: int
    size: Size

    def __post_init__(self) -> None:
        if self.row < 0 or self.column < 0:
            raise GeometryError(f"a window starts at row and column 0 or later, got {self}")

    @property
    def row_stop(self) -> int:
        """The first row below the window."""
        return self.row + self.size.height

    @property
    def column_stop(self) -> int:
        """The first column right of the window."""
        return self.column + self.size.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index an array whose last two axes are the raster."""
        return slice(self.row, self.row_stop), slice(self.column, self.column_stop)

    def moved(self, rows: int, columns: int) -> "Window":
        """The same window, so many rows lower and columns further to the right."""
        return Window(self.row + rows, self.column + columns, self.size)

    def shared(self, other: "Window") -> "Window | None":
        """What both windows cover, if anything."""
        row, column = max(self.row, other.row), max(self.column, other.column)
        height = min(self.row_stop, other.row_stop) - row
        width = min(self.column_stop, other.column_stop) - column
        return Window(row, column, Size(height, width)) if min(height, width) > 0 else None

    def is_inside(self, size: Size) -> bool:
        """Whether no pixel of the window lies beyond a raster of this size."""
        return self.row_stop <= size.height and self.column_stop <= size.width


class GridRule(StrEnum):
    """How patches are placed along an axis."""

    EXACT = "exact"
    """As few as possible with at least the asked overlap; any length (`starts`)."""
    PUBLISHED = "published"
    """As in the published code, at least 50 px of overlap (`published_starts`)."""


@dataclass(frozen=True, slots=True)
class PatchGrid:
    """Patches of one size that cover a raster: every row start with every column start."""

    raster: Size
    patch: Size
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[Window]:
        """The windows, row by row."""
        return (self.window(row, column) for row, column in self.places)

    @property
    def places(self) -> list[tuple[int, int]]:
        """Which row start and which column start every patch has, row by row."""
        return list(product(range(len(self.rows)), range(len(self.columns))))

    def window(self, row: int, column: int) -> Window:
        """The patch at the given row start and column start, counted from 0."""
        return Window(self.rows[row], self.columns[column], self.patch)

    def reaching(self, window: Window) -> Iterator[tuple[tuple[int, int], Window]]:
        """The patches that reach a window, row by row, with what they share with it."""
        columns = _reaching(self.columns, self.patch.width, window.column, window.column_stop)
        for row in _reaching(self.rows, self.patch.height, window.row, window.row_stop):
            for column in columns:
                shared = self.window(row, column).shared(window)
                assert shared is not None
                yield (row, column), shared

    def number(self, row: int, column: int) -> int:
        """Which patch, counted row by row, has this row start and column start."""
        return row * len(self.columns) + column


def starts(length: int, size: int, overlap: int) -> list[int]:
    """Place intervals of ``size`` along ``[0, length)`` so that none hangs over the end.

    As few as possible, spread evenly, so neighbours overlap by at least ``overlap``, everywhere
    the same to one pixel.

    Raises:
        GeometryError: If ``overlap`` is not in ``[0, size)`` or ``size`` exceeds ``length``.
    """
    _check_interval(length, size)
    if not 0 <= overlap < size:
        raise GeometryError(f"overlap must be at least 0 and under the patch's {size}: {overlap}")
    gaps = ceil((length - size) / (size - overlap))
    return [k * (length - size) // gaps for k in range(gaps + 1)] if gaps else [0]


def published_starts(length: int, size: int) -> list[int]:
    """Place intervals of ``size`` along ``[0, length)`` as the published code does.

    The number grows from ``ceil(length / size)`` until neighbours share at least 50 px; starts are
    rounded half to even. Unlike there, ``length == size`` gives the one start 0.

    Raises:
        GeometryError: If ``size`` exceeds ``length``, or is too small for 50 px of overlap.
    """
    _check_interval(length, size)
    if length == size:
        return [0]
    if size <= PUBLISHED_LEAST_OVERLAP:
        raise GeometryError(
            f"the published grid needs patches over {PUBLISHED_LEAST_OVERLAP} px, got {size}"
        )
    # The same floats as there, so that the same number comes out at the edge of a rounding.
    number = max(2, ceil(length / size))
    while size - (length - size) / (number - 1) < PUBLISHED_LEAST_OVERLAP:
        number += 1
    step = (length - size) / (number - 1)
    return [round(k * step) for k in range(number - 1)] + [length - size]


def patch_grid(raster: Size, patch: Size, overlap: int, rule: GridRule) -> PatchGrid:
    """Cover a raster with patches; along an axis shorter than the patch, one patch as long as it.

    Args:
        raster: What is to be covered.
        patch: The wanted patch.
        overlap: Least overlap of neighbours, in pixels; the published rule has its own.
        rule: How to place them.

    Raises:
        GeometryError: If the overlap or the patch does not fit the rule.
    """
    if not 0 <= overlap < min(patch.height, patch.width):
        raise GeometryError(
            f"overlap must be at least 0 and under the patch {patch}, got {overlap}"
        )
    fitted = Size(min(patch.height, raster.height), min(patch.width, raster.width))
    place = _placement(overlap, rule)
    return PatchGrid(
        raster,
        fitted,
        tuple(place(raster.height, fitted.height)),
        tuple(place(raster.width, fitted.width)),
    )


def strips(size: Size, height: int) -> Iterator[Window]:
    """Cut a raster into full-width strips of ``height`` rows; the last may be lower.

    Raises:
        GeometryError: If ``height`` is under 1.
    """
    if height < 1:
        raise GeometryError(f"a strip needs at least one row, got {height}")
    for row in range(0, size.height, height):
        yield Window(row, 0, Size(min(height, size.height - row), size.width))


def blocks(size: Size, side: int) -> Iterator[Window]:
    """Cut a raster into squares, row by row of them; the last of a row or column may be smaller.

    Raises:
        GeometryError: If ``side`` is under 1.
    """
    for strip in strips(size, side):
        for column in range(0, size.width, side):
            width = min(side, size.width - column)
            yield Window(strip.row, column, Size(strip.size.height, width))


def _reaching(starts: tuple[int, ...], size: int, first: int, stop: int) -> range:
    """Which intervals of ``size``, by their number, have a part in ``[first, stop)``."""
    return range(bisect_right(starts, first - size), bisect_left(starts, stop))


def _check_interval(length: int, size: int) -> None:
    if not 1 <= size <= length:
        raise GeometryError(f"a patch of {size} px does not fit along {length} px")


def _placement(overlap: int, rule: GridRule) -> Callable[[int, int], list[int]]:
    if rule is GridRule.PUBLISHED:
        return published_starts
    # A patch cut short covers its axis alone, whatever the overlap.
    return lambda length, size: starts(length, size, min(overlap, size - 1))
