"""From the scores of a patch at stride 4 to any rows of it at full resolution.

Every output pixel takes two rows and two columns with fixed weights, element by element, so a
pixel's scores do not depend on which other rows are asked for at the same time.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.model.resampling import Sampling


class Taps(NamedTuple):
    """Which two cells an output pixel along an axis takes, and the share of the second."""

    first: Tensor
    second: Tensor
    share: Tensor
    cells: NDArray[np.int64]
    """The first ones again, in host memory."""

    def part(self, start: int, stop: int) -> "Taps":
        """The taps of the output pixels ``[start, stop)``."""
        part = slice(start, stop)
        return Taps(self.first[part], self.second[part], self.share[part], self.cells[part])


def taps(cells: int, pixels: int, sampling: Sampling, device: torch.device) -> Taps:
    """Enlarge ``cells`` to ``pixels``: bilinear, or nearest as the published code does."""
    if sampling == "published":
        # float32, since that decides which cell is nearest there.
        step = torch.tensor(cells / pixels, dtype=torch.float32)
        first = (torch.arange(pixels, dtype=torch.float32) * step).long().clamp_max(cells - 1)
        none = torch.zeros(pixels, device=device)
        return Taps(first.to(device), first.to(device), none, first.numpy())
    place = (torch.arange(pixels, dtype=torch.float64) + 0.5) * cells / pixels - 0.5
    place = place.clamp(0, cells - 1)
    first = place.long()
    second = (first + 1).clamp_max(cells - 1)
    share = (place - first).float()
    return Taps(first.to(device), second.to(device), share.to(device), first.numpy())


def enlarge(scores: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """Enlarge (K, h, w) to (K, pixels of rows, pixels of columns)."""
    # Along the few rows that are needed first, then down. In place: time goes into memory here.
    top, bottom = int(rows.cells[0]), int(rows.cells[-1]) + 2
    across = _mixed(scores[:, top:bottom], 2, columns.first, columns.second, columns.share)
    return _mixed(across, 1, rows.first - top, rows.second - top, rows.share[:, None])


def _mixed(scores: Tensor, axis: int, first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    mixed = scores.index_select(axis, first).mul_(1 - share)
    # No fused operation: it would round otherwise at the end of a row of numbers than inside it.
    return mixed.add_(scores.index_select(axis, second).mul_(share))
