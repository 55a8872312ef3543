"""A few rows of labels, laid out so that every question about neighbours is one comparison."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOTHING = -1
"""The label of what is no pixel, and of pixels that become no polygon."""

Labels = NDArray[np.int16]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Cells:
    """Rows of labels, end to end, below one row that was seen before.

    Every row ends in one cell of nothing. So the cell before the first of a row, and the one behind
    its last, are that cell, and edges of the raster need no care.
    """

    labels: Labels
    """((1 + rows) * stride,), the row that was seen before first."""
    stride: int
    """Cells per row: one more than pixels."""
    is_start: NDArray[np.bool_]
    """Like ``labels``: where a run begins, that is equal labels side by side in one row."""
    is_edge: NDArray[np.bool_]
    """(rows * stride,): where the cell below has another label."""
    run_of: NDArray[np.int32]
    """Like ``labels``: the number of the run, from 0 on."""

    @property
    def row_above(self) -> slice:
        """The cells of the row that was seen before."""
        return slice(0, self.stride)

    @property
    def last_row(self) -> slice:
        """The cells of the last row."""
        return slice(len(self.labels) - self.stride, len(self.labels))


def empty_row(width: int) -> Labels:
    """A row without pixels, as it lies above and below a raster: (width + 1,)."""
    return np.full(width + 1, NOTHING, dtype=np.int16)


def lay_out(above: Labels, rows: NDArray[np.uint8], nodata: int | None) -> Cells:
    """Cells of new rows below one that was seen.

    Args:
        above: (width + 1,), the last row of the cells before, or `empty_row`.
        rows: (rows, width), at least one row.
        nodata: The label that becomes nothing.
    """
    count, width = rows.shape
    stride = width + 1
    table = np.full((1 + count, stride), NOTHING, dtype=np.int16)
    table[0] = above
    table[1:, :width] = rows
    if nodata is not None:
        table[1:, :width][rows == nodata] = NOTHING
    is_start = np.ones(table.shape, dtype=np.bool_)
    np.not_equal(table[:, 1:], table[:, :-1], out=is_start[:, 1:])
    return Cells(
        labels=table.ravel(),
        stride=stride,
        is_start=is_start.ravel(),
        is_edge=(table[:-1] != table[1:]).ravel(),
        run_of=np.cumsum(is_start, dtype=np.int32) - 1,
    )
