"""From patch scores to finished strips of the raster (published code: sums, uniform weights)."""

import torch
from torch import Tensor

from glnet.geometry import PatchGrid, Window
from glnet.inference.enlarging import enlarge, taps
from glnet.inference.scratch import Scratch
from glnet.model.resampling import Sampling


def stitch(
    scratch: Scratch, grid: PatchGrid, strip: Window, sampling: Sampling, device: torch.device
) -> Tensor:
    """Sum the scores of all patches over a strip: (K, rows, columns), float32.

    The strip may be narrower than the grid's raster. Additions happen patch by patch in the grid's
    order, so that a pixel's sum does not depend on the strip's height.
    """
    total: Tensor | None = None
    for index, window in enumerate(grid):
        top, bottom = max(strip.row, window.row), min(strip.row_stop, window.row_stop)
        if top >= bottom:
            continue
        scores = scratch.read(index, device)
        rows = taps(scores.shape[1], grid.patch.height, sampling, device)
        columns = taps(scores.shape[2], grid.patch.width, sampling, device)
        right = min(window.column_stop, strip.column_stop)
        part = enlarge(
            scores,
            rows.part(top - window.row, bottom - window.row),
            columns.part(0, right - window.column),
        )
        if total is None:
            total = part.new_zeros(part.shape[0], strip.size.height, strip.size.width)
        total[:, top - strip.row : bottom - strip.row, window.column : right] += part
    if total is None:
        raise ValueError("the strip lies outside the grid")
    return total


def stretch(
    logits: Tensor, grid: PatchGrid, strip: Window, sampling: Sampling, device: torch.device
) -> Tensor:
    """Bring the global branch's logits (K, h, w) to a strip of the raster: (K, rows, columns)."""
    rows = taps(logits.shape[1], grid.raster.height, sampling, device)
    columns = taps(logits.shape[2], grid.raster.width, sampling, device)
    return enlarge(logits, rows.part(strip.row, strip.row_stop), columns.part(0, strip.column_stop))
