"""Shrinking rasters of any size in one pass over strips of rows.

`thumbnail` is Pillow's ``Image.resize`` with the BILINEAR filter, which widens its triangle when it
shrinks: the whole picture is filtered, not sampled. Pillow needs it in memory; here each strip
passes Pillow's horizontal half, then the vertical half adds it to the rows that it reaches.

Pillow up to version 12 goes in this order too and gives the same 8-bit pixels. Version 13 begins
with the vertical half where that is cheaper, mostly for pictures that are higher than wide; as it
rounds between the halves, up to a quarter of the pixels of pure noise then differ, by one level.

Where pixels may be no measurements (`Raster.has_mask`), means are over those that are: the same
filter runs over the pixels and over their weights, 1 or 0, in floating point, and divides.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
from PIL import Image

from glnet.geometry import Size, Window
from glnet.raster.measured import divided, rounded, which_are_measured
from glnet.raster.overviews import Source, thumbnail_source
from glnet.raster.protocol import Masked, Pixels, Raster, Valid, require_inside, whole
from glnet.raster.strips import aligned_strips, columns_of_blocks, read_strips
from glnet.raster.triangle import (
    ColumnFilter,
    Floats,
    Reach,
    fixed_point,
    from_fixed_point,
    triangle_reaches,
)


class Thumbnail(NamedTuple):
    """A raster or a part of it in fewer pixels, or in more.

    Attributes:
        pixels: (bands, height, width); uint8 if the raster is, else float32.
        valid: Where at least one measurement was seen, (height, width); None if everywhere.
        overview: It was made of the file's overview that is about so many times smaller than the
            raster; None if of the raster itself.
    """

    pixels: Pixels
    valid: Valid | None
    overview: int | None


def thumbnail(raster: Raster, size: Size, window: Window | None = None) -> Pixels:
    """The pixels of `shrunk`, of the raster itself: no overview is used.

    Raises:
        GeometryError: If the window is not inside the raster.
        RasterError: If the pixels cannot be read.
    """
    return shrunk(raster, size, window, overviews=False).pixels


def masked_thumbnail(
    raster: Raster, size: Size, window: Window | None = None, *, overviews: bool = True
) -> Masked:
    """`shrunk`, without what it was made of."""
    return Masked(*shrunk(raster, size, window, overviews=overviews)[:2])


def shrunk(
    raster: Raster, size: Size, window: Window | None = None, *, overviews: bool = True
) -> Thumbnail:
    """The whole raster (or a window of it) resampled to a size; its aspect is not kept.

    Without a mask and overviews, equal to Pillow's ``Image.resize(..., BILINEAR)`` of every band,
    first to the width, then to the height; with a mask, the same filter over what was measured.
    One pass over the rows, and memory for a strip (`STRIP_BYTES`) plus the result.

    Args:
        raster: What to shrink, or to enlarge where it is smaller.
        size: The size of the result.
        window: What to show of it; everything if None.
        overviews: Whether an overview of the file is used where it serves
            (`glnet.raster.overviews.thumbnail_source` has the rule).

    Raises:
        GeometryError: If the window is not inside the raster.
        RasterError: If the pixels cannot be read.
    """
    window = window or whole(raster)
    require_inside(window, raster)
    itself = Source(raster, window, None)
    with thumbnail_source(raster, window, size) if overviews else nullcontext(itself) as source:
        make = _mean_of_measured if raster.has_mask else _filtered
        return Thumbnail(*make(source.raster, source.window, size), source.overview)


def _filtered(raster: Raster, window: Window, size: Size) -> Masked:
    """Pillow's filter over all pixels."""
    narrowed = _narrowed(raster, window, size.width, lambda of: of.pixels)
    reaches = triangle_reaches(window.size.height, size.height)
    shape = (raster.bands, size.height, size.width)
    if raster.dtype == np.uint8:
        sums = _weighted_rows(narrowed, fixed_point(reaches), shape)
        return Masked(from_fixed_point(sums), None)
    # Values that float32 cannot hold, such as some nodata values, become infinite.
    with np.errstate(over="ignore", invalid="ignore"):
        return Masked(_weighted_rows(narrowed, reaches, shape).astype(np.float32), None)


def _mean_of_measured(raster: Raster, window: Window, size: Size) -> Masked:
    """The same filter over those pixels that are measurements, band by band."""

    def planes(of: Masked) -> Pixels:
        is_measured = which_are_measured(of, raster.nodata)
        if is_measured.all():
            return of.pixels.astype(np.float32, copy=False)
        values = np.where(is_measured, of.pixels, 0).astype(np.float32)
        return np.concatenate([values, (~is_measured).astype(np.float32)])

    # Of what is missing, as mostly nothing is.
    sums, lost = np.zeros((raster.bands, size.height, size.width)), None
    reaches = triangle_reaches(window.size.height, size.height)
    for start, rows in _narrowed(raster, window, size.width, planes):
        _add_rows(sums, start, rows[: raster.bands], reaches)
        missing = rows[raster.bands :]
        if len(missing):
            if lost is None:
                lost = np.zeros((len(missing), size.height, size.width))
            elif len(lost) < len(missing):  # From here on, bands differ.
                lost = np.repeat(lost, len(missing), axis=0)
            _add_rows(lost, start, missing, reaches)
    if lost is None:
        return Masked(rounded(sums, raster.dtype), None)
    return divided(sums, 1 - lost, raster.dtype)


def _narrowed(
    raster: Raster, window: Window, width: int, planes: Callable[[Masked], Pixels]
) -> Iterator[tuple[int, Pixels]]:
    """Strips of a window with the filter's horizontal half applied, from above; where each starts.

    Args:
        raster: What is read.
        window: Where.
        width: Of the result.
        planes: What is to be filtered, (any, height, width); planes that are not there are zero.
    """
    parts = columns_of_blocks(raster, window)
    if parts is None:
        for start, of in read_strips(raster, window, 1, max(window.size.width, width)):
            yield start, _narrow(planes(of), width)
        return
    height, columns = parts
    is_exact = raster.dtype == np.uint8 and not raster.has_mask
    reaches = triangle_reaches(window.size.width, width)
    horizontal = ColumnFilter(fixed_point(reaches) if is_exact else reaches)
    for strip in aligned_strips(window, height):
        sums: Floats | None = None
        for column in range(0, window.size.width, columns):
            part = Size(strip.size.height, min(columns, window.size.width - column))
            values = planes(raster.read_masked(Window(strip.row, window.column + column, part)))
            if sums is None:
                sums = np.zeros((*values.shape[:2], width))
            if len(values) > len(sums):
                sums = _with_planes(sums, raster.bands, len(values))
            elif raster.bands < len(values) < len(sums):
                values = _with_planes(values, raster.bands, len(sums))
            horizontal.add(sums[: len(values)], values, column)
        assert sums is not None
        yield strip.row - window.row, from_fixed_point(sums) if is_exact else sums


def _with_planes(of: Pixels, bands: int, count: int) -> Pixels:
    """More planes of what is missing: in no band if there were none, in all alike if one."""
    missing = of[bands:] if len(of) > bands else np.zeros((1, *of.shape[1:]), of.dtype)
    return np.concatenate([of[:bands], *[missing] * (count - bands)])


def _narrow(pixels: Pixels, width: int) -> Pixels:
    """Pillow's horizontal pass; its vertical pass does nothing as the height stays."""
    if pixels.dtype != np.uint8:
        pixels = pixels.astype(np.float32, copy=False)
    if pixels.shape[2] == width:
        return pixels
    target = (width, pixels.shape[1])
    return np.stack(
        [
            np.asarray(Image.fromarray(band).resize(target, Image.Resampling.BILINEAR))
            for band in pixels
        ]
    )


def _weighted_rows(
    rows: Iterator[tuple[int, Pixels]], reaches: list[Reach], shape: tuple[int, int, int]
) -> Floats:
    """Add every strip to the output rows that it reaches.

    One output row at a time, not as one matrix product, so that a NaN stays within its reach.
    """
    sums = np.zeros(shape)
    for start, pixels in rows:
        _add_rows(sums, start, pixels, reaches)
    return sums


def _add_rows(sums: Floats, start: int, pixels: Pixels, reaches: list[Reach]) -> None:
    """Add a strip, whose first row is ``start``, to the output rows that it reaches."""
    stop = start + pixels.shape[1]
    for row, reach in enumerate(reaches):
        first, last = max(reach.start, start), min(reach.stop, stop)
        if first < last:
            weights = reach.weights[first - reach.start : last - reach.start]
            reached = pixels[:, first - start : last - start].astype(np.float64)
            sums[:, row] += np.tensordot(weights, reached, (0, 1))
