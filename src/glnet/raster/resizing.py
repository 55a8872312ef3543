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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glnet.errors import GeometryError
from glnet.geometry import Size, Window, strips
from glnet.raster.overviews import Source, thumbnail_source
from glnet.raster.protocol import (
    Blocked,
    Masked,
    Pixels,
    Raster,
    Valid,
    require_inside,
    whole,
)
from glnet.raster.triangle import (
    ColumnFilter,
    Floats,
    Reach,
    fixed_point,
    from_fixed_point,
    triangle_reaches,
)

STRIP_BYTES = 1 << 24
"""About what one strip may take in host memory."""

BLOCK_ROWS = 512
"""Where blocks are unknown, strips that are higher end at multiples of this."""

LEAST_WEIGHT = 1e-4
"""Under this share of a filter's weight, a mean would be of rounding errors."""


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
    # Integers are all measurements or none in all bands; floats have one weight per band.
    weights = raster.bands if raster.dtype.kind == "f" else 1

    def planes(of: Masked) -> Pixels:
        is_measured = _weights_of(of, weights)
        if is_measured.all():
            return of.pixels.astype(np.float32, copy=False)
        values = np.where(is_measured, of.pixels, 0).astype(np.float32)
        return np.concatenate([values, (~is_measured).astype(np.float32)])

    # Of what is missing, as mostly nothing is.
    sums, lost = np.zeros((raster.bands, size.height, size.width)), None
    reaches = triangle_reaches(window.size.height, size.height)
    for start, rows in _narrowed(raster, window, size.width, planes):
        _add_rows(sums, start, rows[: raster.bands], reaches)
        if len(rows) > raster.bands:
            lost = np.zeros((weights, size.height, size.width)) if lost is None else lost
            _add_rows(lost, start, rows[raster.bands :], reaches)
    if lost is None:
        return Masked(_rounded(sums, raster.dtype), None)
    return _divided(sums, 1 - lost, raster.dtype)


def _weights_of(of: Masked, weights: int) -> NDArray[np.bool_]:
    """Which values are measurements: (bands or 1, height, width)."""
    shape = (weights, *of.pixels.shape[1:])
    valid = np.broadcast_to(True if of.valid is None else of.valid, shape)
    if of.pixels.dtype.kind != "f":
        return valid
    with np.errstate(over="ignore", invalid="ignore"):
        return valid & np.isfinite(of.pixels.astype(np.float32, copy=False))


def _divided(sums: Floats, weights: Floats, dtype: np.dtype[Any]) -> Masked:
    """Means over what was measured; 0 where nothing was."""
    has_any = weights > LEAST_WEIGHT
    weights[~has_any] = np.inf
    sums /= weights
    valid: Valid = np.any(has_any, axis=0)
    return Masked(_rounded(sums, dtype), None if valid.all() else valid)


def _rounded(means: Floats, dtype: np.dtype[Any]) -> Pixels:
    if dtype != np.uint8:
        return means.astype(np.float32)
    means += 0.5
    pixels: NDArray[np.uint8] = np.clip(np.floor(means, out=means), 0, 255).astype(np.uint8)
    return pixels


def read_reduced(raster: Raster, window: Window, factor: int) -> Pixels:
    """Means of blocks of ``factor`` x ``factor`` pixels; blocks at the lower right may be partial.

    Args:
        raster: What to read.
        window: Where; the first block lies in its upper left corner.
        factor: The side of a block; 1 is ``raster.read``. That many rows are held in memory.

    Returns:
        (bands, ceil(height / factor), ceil(width / factor)); uint8, rounded half up, if the raster
        is uint8, else float32 (except with factor 1).

    Raises:
        GeometryError: If ``factor`` is under 1 or the window is not inside the raster.
        RasterError: If the pixels cannot be read.
    """
    return masked_reduced(raster, window, factor).pixels


def masked_reduced(raster: Raster, window: Window, factor: int) -> Masked:
    """`read_reduced`, and which blocks hold at least one measurement; means are over those.

    Raises:
        GeometryError: If ``factor`` is under 1 or the window is not inside the raster.
        RasterError: If the pixels cannot be read.
    """
    if factor < 1:
        raise GeometryError(f"pixels are averaged over blocks of side 1 or more, got {factor}")
    require_inside(window, raster)
    if factor == 1:
        return raster.read_masked(window)
    rows = _strips_of(raster, window, factor, window.size.width)
    means = [_reduced(of, factor) for _, of in rows]
    valid = None
    if any(of.valid is not None for of in means):
        valid = np.concatenate(
            [np.ones(of.pixels.shape[1:], bool) if of.valid is None else of.valid for of in means]
        )
    return Masked(np.concatenate([of.pixels for of in means], axis=1), valid)


def _reduced(of: Masked, factor: int) -> Masked:
    pixels = of.pixels
    weights = pixels.shape[0] if pixels.dtype.kind == "f" else 1
    if of.valid is None and bool(_weights_of(of, weights).all()):
        return Masked(_block_means(pixels, factor), None)
    is_measured = _weights_of(of, weights)
    values = np.where(is_measured, pixels, 0).astype(np.float64)
    sums = [
        _phase_sums(_phase_sums(of, factor, 1, np.float64), factor, 2, np.float64)
        for of in (values, is_measured)
    ]
    return _divided(sums[0], sums[1], pixels.dtype)


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
    parts = _columns_of_blocks(raster, window)
    if parts is None:
        for start, of in _strips_of(raster, window, 1, max(window.size.width, width)):
            yield start, _narrow(planes(of), width)
        return
    height, columns = parts
    is_exact = raster.dtype == np.uint8 and not raster.has_mask
    reaches = triangle_reaches(window.size.width, width)
    horizontal = ColumnFilter(fixed_point(reaches) if is_exact else reaches)
    for strip in _aligned_strips(window, height):
        sums: Floats | None = None
        for column in range(0, window.size.width, columns):
            part = Size(strip.size.height, min(columns, window.size.width - column))
            values = planes(raster.read_masked(Window(strip.row, window.column + column, part)))
            if sums is None:
                sums = np.zeros((*values.shape[:2], width))
            if len(values) > len(sums):  # Planes that were zero up to here.
                more = (len(values) - len(sums), *sums.shape[1:])
                sums = np.concatenate([sums, np.zeros(more)])
            horizontal.add(sums[: len(values)], values, column)
        assert sums is not None
        yield strip.row - window.row, from_fixed_point(sums) if is_exact else sums


def _columns_of_blocks(raster: Raster, window: Window) -> tuple[int, int] | None:
    """The rows of a strip and how many of its columns to read at once, in files of tiles.

    Where full-width strips as high as a tile would take too much memory, lower ones would have
    every tile decoded several times: GDAL does not keep a row of them either. None elsewhere.
    """
    if not isinstance(raster, Blocked) or (raster.dtype.kind == "f" and not raster.has_mask):
        return None
    block, value_bytes = raster.block, _value_bytes(raster)
    if window.size.width * block.height * value_bytes <= STRIP_BYTES:
        return None
    across = STRIP_BYTES // (block.area * value_bytes)
    if not across or block.width >= raster.size.width:
        return None
    return block.height, across * block.width


def _aligned_strips(window: Window, height: int) -> Iterator[Window]:
    """Strips of a window, in raster coordinates, that end where blocks of a height do."""
    row = window.row
    while row < window.row_stop:
        stop = min((row // height + 1) * height, window.row_stop)
        yield Window(row, window.column, Size(stop - row, window.size.width))
        row = stop


def _value_bytes(raster: Raster) -> int:
    """What a pixel takes on its way."""
    # Bytes stay bytes; all else becomes float32 beside what was read.
    value_bytes = 1 if raster.dtype == np.uint8 else raster.dtype.itemsize + 4
    # With a mask, values and weights are floats.
    return raster.bands * (value_bytes + (10 if raster.has_mask else 0))


def _strips_of(
    raster: Raster, window: Window, multiple: int, width: int
) -> Iterator[tuple[int, Masked]]:
    """Strips of a window with the row in it where each starts; heights divide by ``multiple``."""
    height = max(1, STRIP_BYTES // (width * _value_bytes(raster)))
    rows = raster.block.height if isinstance(raster, Blocked) else BLOCK_ROWS
    if height > rows:
        height = height // rows * rows
    height = max(1, height // multiple) * multiple
    for strip in strips(window.size, height):
        place = Window(window.row + strip.row, window.column, strip.size)
        yield strip.row, raster.read_masked(place)


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


def _block_means(pixels: Pixels, factor: int) -> Pixels:
    height, width = pixels.shape[1:]
    rows, columns = np.arange(0, height, factor), np.arange(0, width, factor)
    counts = np.outer(np.diff(rows, append=height), np.diff(columns, append=width))
    kind = np.uint32 if pixels.dtype == np.uint8 else np.float64
    with np.errstate(over="ignore", invalid="ignore"):
        sums = _phase_sums(_phase_sums(pixels, factor, 1, kind), factor, 2, kind)
        if pixels.dtype == np.uint8:
            rounded: NDArray[np.uint8] = ((2 * sums + counts) // (2 * counts)).astype(np.uint8)
            return rounded
        means: NDArray[np.float32] = (sums / counts).astype(np.float32)
        return means


def _phase_sums(pixels: Pixels, factor: int, axis: int, kind: type) -> Pixels:
    """Sums of up to ``factor`` neighbours along an axis: one whole-array addition per phase.

    ``np.add.reduceat`` says the same and took 16 times as long for blocks of 2 (512x512, 8 bits).
    """
    lead = (slice(None),) * axis
    sums: Pixels = pixels[*lead, ::factor].astype(kind)
    for phase in range(1, min(factor, pixels.shape[axis])):
        part = pixels[*lead, phase::factor]
        sums[*lead, : part.shape[axis]] += part
    return sums
