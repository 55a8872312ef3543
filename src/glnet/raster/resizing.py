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

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glnet.errors import GeometryError
from glnet.geometry import Size, Window, strips
from glnet.raster.protocol import Masked, Pixels, Raster, Valid, require_inside, whole

STRIP_BYTES = 1 << 24
"""About what one strip may take in host memory."""

BLOCK_ROWS = 512
"""Strips that are higher end at multiples of this, so that files read each block once."""

FIXED_POINT_ONE = 1 << 22
"""Pillow filters 8-bit pixels with weights rounded to whole parts of this."""

LEAST_WEIGHT = 1e-4
"""Under this share of a filter's weight, a mean would be of rounding errors."""

Floats = NDArray[np.float64]


class Reach(NamedTuple):
    """The input rows that make one output row, and their weights."""

    start: int
    weights: Floats

    @property
    def stop(self) -> int:
        """The first input row below."""
        return self.start + len(self.weights)


def thumbnail(raster: Raster, size: Size, window: Window | None = None) -> Pixels:
    """The whole raster (or a window of it) resampled to a size; its aspect is not kept.

    Equal to Pillow's ``Image.resize(..., Image.Resampling.BILINEAR)`` of every band, first to the
    width, then to the height; in one pass over the rows, and memory for a strip (`STRIP_BYTES`)
    plus the result.

    Args:
        raster: What to shrink, or to enlarge where it is smaller.
        size: The size of the result.
        window: What to show of it; everything if None.

    Returns:
        (bands, height, width); uint8 if the raster is, else float32.

    Raises:
        GeometryError: If the window is not inside the raster.
        RasterError: If the pixels cannot be read.
    """
    window = window or whole(raster)
    return masked_thumbnail(raster, size, window).pixels


def masked_thumbnail(raster: Raster, size: Size, window: Window | None = None) -> Masked:
    """`thumbnail`, and which of its pixels saw at least one measurement; the others are 0."""
    window = window or whole(raster)
    require_inside(window, raster)
    strips_of = _strips_of(raster, window, 1, max(window.size.width, size.width))
    if raster.has_mask:
        return _mean_of_measured(strips_of, window.size, size, raster)
    return Masked(
        _filtered(((at, of.pixels) for at, of in strips_of), window.size, size, raster), None
    )


def _filtered(
    rows: Iterator[tuple[int, Pixels]], source: Size, size: Size, raster: Raster
) -> Pixels:
    """Pillow's filter over strips of all pixels."""
    narrowed = ((start, _narrow(pixels, size.width)) for start, pixels in rows)
    reaches = triangle_reaches(source.height, size.height)
    shape = (raster.bands, size.height, size.width)
    if raster.dtype == np.uint8:
        return _from_fixed_point(_weighted_rows(narrowed, _fixed_point(reaches), shape))
    # Values that float32 cannot hold, such as some nodata values, become infinite.
    with np.errstate(over="ignore", invalid="ignore"):
        return _weighted_rows(narrowed, reaches, shape).astype(np.float32)


def _mean_of_measured(
    rows: Iterator[tuple[int, Masked]], source: Size, size: Size, raster: Raster
) -> Masked:
    """The same filter over those pixels that are measurements, band by band."""
    # Integers are all measurements or none in all bands; floats have one weight per band.
    weights = raster.bands if raster.dtype.kind == "f" else 1

    def narrowed() -> Iterator[tuple[int, Pixels]]:
        for start, of in rows:
            is_measured = _weights_of(of, weights)
            values = np.where(is_measured, of.pixels, 0).astype(np.float32)
            yield (
                start,
                _narrow(np.concatenate([values, is_measured.astype(np.float32)]), size.width),
            )

    reaches = triangle_reaches(source.height, size.height)
    shape = (raster.bands + weights, size.height, size.width)
    sums = _weighted_rows(narrowed(), reaches, shape)
    return _divided(sums[: raster.bands], sums[raster.bands :], raster.dtype)


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
    means = np.divide(
        sums, weights, out=np.zeros_like(sums), where=np.broadcast_to(has_any, sums.shape)
    )
    valid: Valid = np.any(has_any, axis=0)
    return Masked(
        np.clip(np.floor(means + 0.5), 0, 255).astype(np.uint8)
        if dtype == np.uint8
        else means.astype(np.float32),
        None if valid.all() else valid,
    )


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


def triangle_reaches(length: int, target: int) -> list[Reach]:
    """Which of ``length`` input rows make each of ``target`` output rows, and with which weights.

    As in Pillow: a triangle as wide as two output rows (two input rows, if those are wider) about
    the output row's centre, cut at the ends and divided by its sum.
    """
    scale = length / target
    support = max(scale, 1.0)
    reaches = []
    for row in range(target):
        center = (row + 0.5) * scale
        start = max(int(center - support + 0.5), 0)
        stop = min(int(center + support + 0.5), length)
        offsets = (np.arange(start, stop) - center + 0.5) / support
        weights = np.maximum(1.0 - np.abs(offsets), 0.0)
        # Rows at the very edge of the triangle weigh nothing: a NaN there must not count either.
        used = np.flatnonzero(weights)
        weights = weights[used[0] : used[-1] + 1]
        reaches.append(Reach(start + int(used[0]), weights / weights.sum()))
    return reaches


def _strips_of(
    raster: Raster, window: Window, multiple: int, width: int
) -> Iterator[tuple[int, Masked]]:
    """Strips of a window with the row in it where each starts; heights divide by ``multiple``."""
    # Bytes stay bytes; all else becomes float32 beside what was read.
    value_bytes = 1 if raster.dtype == np.uint8 else raster.dtype.itemsize + 4
    # With a mask, values and weights are floats.
    row_bytes = width * raster.bands * (value_bytes + (10 if raster.has_mask else 0))
    height = max(1, STRIP_BYTES // row_bytes)
    if height > BLOCK_ROWS:
        height = height // BLOCK_ROWS * BLOCK_ROWS
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


def _fixed_point(reaches: list[Reach]) -> list[Reach]:
    """The weights as the whole numbers that Pillow uses for 8-bit pixels."""
    return [Reach(start, np.floor(weights * FIXED_POINT_ONE + 0.5)) for start, weights in reaches]


def _from_fixed_point(sums: Floats) -> NDArray[np.uint8]:
    # Whole numbers times whole numbers, under 2**53: float64 has added them up exactly. In place,
    # as they are the largest thing there is.
    sums += FIXED_POINT_ONE / 2
    sums /= FIXED_POINT_ONE
    pixels: NDArray[np.uint8] = np.clip(np.floor(sums, out=sums), 0, 255, out=sums).astype(np.uint8)
    return pixels


def _weighted_rows(
    rows: Iterator[tuple[int, Pixels]], reaches: list[Reach], shape: tuple[int, int, int]
) -> Floats:
    """Add every strip to the output rows that it reaches.

    One output row at a time, not as one matrix product, so that a NaN stays within its reach.
    """
    sums = np.zeros(shape)
    for start, pixels in rows:
        stop = start + pixels.shape[1]
        for row, reach in enumerate(reaches):
            first, last = max(reach.start, start), min(reach.stop, stop)
            if first < last:
                weights = reach.weights[first - reach.start : last - reach.start]
                reached = pixels[:, first - start : last - start].astype(np.float64)
                sums[:, row] += np.tensordot(weights, reached, (0, 1))
    return sums


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
