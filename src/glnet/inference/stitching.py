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

    Raises:
        ValueError: If the strip is not inside the grid's raster.
    """
    if not strip.is_inside(grid.raster):
        raise ValueError(f"the strip {strip} lies outside the grid of {grid.raster}")
    size = strip.size
    total = torch.zeros(scratch.classes, size.height, size.width, device=device)
    rows = taps(scratch.frame[1], grid.patch.height, sampling, device)
    columns = taps(scratch.frame[2], grid.patch.width, sampling, device)
    for number, first_row in enumerate(grid.rows):
        top = max(strip.row, first_row)
        bottom = min(strip.row_stop, first_row + grid.patch.height)
        if top >= bottom:
            continue
        part_of_rows = rows.part(top - first_row, bottom - first_row)
        for place, first_column in enumerate(grid.columns):
            scores = scratch.read(number * len(grid.columns) + place, device)
            right = min(first_column + grid.patch.width, strip.column_stop)
            part = enlarge(scores, part_of_rows, columns.part(0, right - first_column))
            total[:, top - strip.row : bottom - strip.row, first_column:right] += part
    return total


def stretch(
    logits: Tensor, grid: PatchGrid, strip: Window, sampling: Sampling, device: torch.device
) -> Tensor:
    """Bring the global branch's logits (K, h, w) to a strip of the raster: (K, rows, columns)."""
    rows = taps(logits.shape[1], grid.raster.height, sampling, device)
    columns = taps(logits.shape[2], grid.raster.width, sampling, device)
    return enlarge(logits, rows.part(strip.row, strip.row_stop), columns.part(0, strip.column_stop))
