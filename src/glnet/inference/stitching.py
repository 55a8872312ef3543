"""From patch scores to finished windows of the raster."""

from collections.abc import Collection

import torch
from torch import Tensor

from glnet.geometry import PatchGrid, Window
from glnet.inference.blending import Weights
from glnet.inference.enlarging import enlarge, taps
from glnet.inference.scratch import PatchScores
from glnet.model.resampling import Sampling


class Stitcher:
    """Blends the scores of all patches of a raster.

    Args:
        grid: The patches.
        sampling: How maps become windows.
        weights: How much each patch counts where.
        skipped: Patches that have no scores, by their number.
    """

    def __init__(
        self,
        grid: PatchGrid,
        sampling: Sampling,
        weights: Weights,
        skipped: Collection[int] = frozenset(),
    ) -> None:
        self._grid = grid
        self._sampling = sampling
        self._rows = torch.from_numpy(weights.rows)
        self._columns = torch.from_numpy(weights.columns)
        self._skipped = skipped

    def stitch(self, scratch: PatchScores, window: Window, device: torch.device) -> Tensor:
        """The weighted sum of the scores of all patches over a window: (K, rows, columns), float32.

        Only patches that reach the window are read. Additions happen patch by patch in the grid's
        order, so that a pixel's sum does not depend on the window.

        Raises:
            ValueError: If the window is not inside the grid's raster.
        """
        self._require_inside(window)
        height, width = window.size.height, window.size.width
        total = torch.zeros(scratch.classes, height, width, device=device)
        rows = taps(scratch.frame[1], self._grid.patch.height, self._sampling, device)
        columns = taps(scratch.frame[2], self._grid.patch.width, self._sampling, device)
        for (row, column), shared in self._grid.reaching(window):
            patch = self._grid.number(row, column)
            if patch in self._skipped:
                continue
            own = shared.moved(-self._grid.rows[row], -self._grid.columns[column])
            scores = enlarge(
                scratch.read(patch, device),
                rows.part(own.row, own.row_stop),
                columns.part(own.column, own.column_stop),
            )
            scores *= self._rows[row, own.row : own.row_stop, None].to(device)
            scores *= self._columns[column, own.column : own.column_stop].to(device)
            total[:, *shared.moved(-window.row, -window.column).slices] += scores
        return total

    def weight(self, window: Window, device: torch.device) -> Tensor:
        """The sum of the weights of those patches that have scores: (rows, columns)."""
        self._require_inside(window)
        total = torch.zeros(window.size.height, window.size.width, device=device)
        for (row, column), shared in self._grid.reaching(window):
            if self._grid.number(row, column) in self._skipped:
                continue
            own = shared.moved(-self._grid.rows[row], -self._grid.columns[column])
            rows = self._rows[row, own.row : own.row_stop, None].to(device)
            columns = self._columns[column, own.column : own.column_stop].to(device)
            total[shared.moved(-window.row, -window.column).slices] += rows * columns
        return total

    def _require_inside(self, window: Window) -> None:
        if not window.is_inside(self._grid.raster):
            raise ValueError(f"the window {window} lies outside the grid of {self._grid.raster}")


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
