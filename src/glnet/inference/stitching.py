"""From patch scores to finished windows of the raster (published code: sums, uniform weights)."""

import torch
from torch import Tensor

from glnet.geometry import PatchGrid, Size, Window
from glnet.inference.enlarging import enlarge, taps
from glnet.inference.scratch import PatchScores
from glnet.model.resampling import Sampling


def stitch(
    scratch: PatchScores, grid: PatchGrid, window: Window, sampling: Sampling, device: torch.device
) -> Tensor:
    """Sum the scores of all patches over a window: (K, rows, columns), float32.

    Only patches that reach the window are read. Additions happen patch by patch in the grid's
    order, so that a pixel's sum does not depend on the window.

    Raises:
        ValueError: If the window is not inside the grid's raster.
    """
    if not window.is_inside(grid.raster):
        raise ValueError(f"the window {window} lies outside the grid of {grid.raster}")
    size = window.size
    total = torch.zeros(scratch.classes, size.height, size.width, device=device)
    rows = taps(scratch.frame[1], grid.patch.height, sampling, device)
    columns = taps(scratch.frame[2], grid.patch.width, sampling, device)
    for number, first_row in enumerate(grid.rows):
        top = max(window.row, first_row)
        bottom = min(window.row_stop, first_row + grid.patch.height)
        if top >= bottom:
            continue
        part_of_rows = rows.part(top - first_row, bottom - first_row)
        for place, first_column in enumerate(grid.columns):
            left = max(window.column, first_column)
            right = min(window.column_stop, first_column + grid.patch.width)
            if left >= right:
                continue
            scores = scratch.read(number * len(grid.columns) + place, device)
            part_of_columns = columns.part(left - first_column, right - first_column)
            reached = Window(
                top - window.row, left - window.column, Size(bottom - top, right - left)
            )
            total[:, *reached.slices] += enlarge(scores, part_of_rows, part_of_columns)
    return total


def stretch(
    logits: Tensor, grid: PatchGrid, window: Window, sampling: Sampling, device: torch.device
) -> Tensor:
    """Bring the global branch's logits (K, h, w) to a window of the raster: (K, rows, columns)."""
    rows = taps(logits.shape[1], grid.raster.height, sampling, device)
    columns = taps(logits.shape[2], grid.raster.width, sampling, device)
    return enlarge(
        logits,
        rows.part(window.row, window.row_stop),
        columns.part(window.column, window.column_stop),
    )
