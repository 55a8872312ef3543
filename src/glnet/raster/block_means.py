"""Rasters in fewer pixels by a whole factor: means of blocks, strip by strip."""

import numpy as np
from numpy.typing import NDArray

from glnet.errors import GeometryError
from glnet.geometry import Window
from glnet.raster.measured import divided, which_are_measured
from glnet.raster.protocol import Masked, Pixels, Raster, require_inside
from glnet.raster.strips import read_strips


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
    rows = read_strips(raster, window, factor, window.size.width)
    means = [_reduced(of, factor, raster.nodata) for _, of in rows]
    valid = None
    if any(of.valid is not None for of in means):
        valid = np.concatenate(
            [np.ones(of.pixels.shape[1:], bool) if of.valid is None else of.valid for of in means]
        )
    return Masked(np.concatenate([of.pixels for of in means], axis=1), valid)


def _reduced(of: Masked, factor: int, nodata: float | None) -> Masked:
    pixels = of.pixels
    is_measured = which_are_measured(of, nodata)
    if is_measured.all():
        return Masked(_block_means(pixels, factor), None)
    values = np.where(is_measured, pixels, 0).astype(np.float64)
    sums = [
        _phase_sums(_phase_sums(of, factor, 1, np.float64), factor, 2, np.float64)
        for of in (values, is_measured)
    ]
    return divided(sums[0], sums[1], pixels.dtype)


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
