"""Sums of what patches say of a map's cells, over those cells that they reach."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class MapSums(NamedTuple):
    """Sums over a rectangle of one map's cells, at least in float32.

    Attributes:
        whole: Rows and columns of the whole map.
        corner: The row and the column of the rectangle's first cell.
        canvas: (C, rows, columns), what patches said of its cells.
        reach: (rows, columns), how much they weighed there.
    """

    whole: tuple[int, int]
    corner: tuple[int, int]
    canvas: Tensor
    reach: Tensor

    @classmethod
    def empty(
        cls, like: Tensor, whole: tuple[int, int], corner: tuple[int, int], sides: Sequence[int]
    ) -> "MapSums":
        """Zeros, of the channels of a map (C, Hm, Wm)."""
        canvas = like.new_zeros((like.shape[0], *sides), dtype=dtype_of_sums(like.dtype))
        return cls(whole, corner, canvas, torch.zeros_like(canvas[0]))

    @property
    def is_whole(self) -> bool:
        """Whether the rectangle is the map."""
        return self.reach.shape == self.whole

    def add(self, other: "MapSums") -> None:
        """Add the sums over a rectangle that lies inside this one."""
        place = tuple(
            slice(first - own, first - own + side)
            for first, own, side in zip(other.corner, self.corner, other.reach.shape, strict=True)
        )
        self.canvas[:, *place].add_(other.canvas.to(self.canvas.device))
        self.reach[place] += other.reach.to(self.reach.device)


def dtype_of_sums(dtype: torch.dtype) -> torch.dtype:
    """In which numbers maps of a type are summed up: at least in float32."""
    return torch.promote_types(dtype, torch.float32)
