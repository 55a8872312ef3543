"""From the scores of a patch at stride 4 to any rows of it at full resolution.

Every output pixel takes two rows and two columns with fixed weights, element by element, so a
pixel's scores do not depend on which other rows are asked for at the same time.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from glnet.model.resampling import Sampling


class Taps(NamedTuple):
    """Which two cells an output pixel along an axis takes, and the share of the second."""

    first: Tensor
    second: Tensor
    share: Tensor

    def part(self, start: int, stop: int) -> "Taps":
        """The taps of the output pixels ``[start, stop)``."""
        return Taps(self.first[start:stop], self.second[start:stop], self.share[start:stop])


def taps(cells: int, pixels: int, sampling: Sampling, device: torch.device) -> Taps:
    """Enlarge ``cells`` to ``pixels``: bilinear, or nearest as the published code does."""
    if sampling == "published":
        # float32, since that decides which cell is nearest there.
        step = torch.tensor(cells / pixels, dtype=torch.float32)
        first = (torch.arange(pixels, dtype=torch.float32) * step).long().clamp_max(cells - 1)
        return Taps(first.to(device), first.to(device), torch.zeros(pixels, device=device))
    place = (torch.arange(pixels, dtype=torch.float64) + 0.5) * cells / pixels - 0.5
    place = place.clamp(0, cells - 1)
    first = place.long()
    second = (first + 1).clamp_max(cells - 1)
    return Taps(first.to(device), second.to(device), (place - first).float().to(device))


def enlarge(scores: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """Enlarge (K, h, w) to (K, pixels of rows, pixels of columns)."""
    # Along rows first, while they are few. In place: there, time goes into memory.
    across = _mixed(scores, columns, 2, columns.share)
    return _mixed(across, rows, 1, rows.share[:, None])


def _mixed(scores: Tensor, of: Taps, axis: int, share: Tensor) -> Tensor:
    first = scores.index_select(axis, of.first).mul_(1 - share)
    # No fused operation: it would round otherwise at the end of a row of numbers than inside it.
    return first.add_(scores.index_select(axis, of.second).mul_(share))
