"""The way between the thumbnail's frame and the patches of one raster.

An `Exchange` knows one raster's patch grid and makes the matrices of `resampling.py` for whatever
map sizes turn up. It belongs to one run over one raster; no module keeps it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from glnet.geometry import PatchGrid
from glnet.model.branch import Listen
from glnet.model.features import BranchFeatures, HeardFeatures, Levels, hear_features
from glnet.model.map_sums import MapSums, dtype_of_sums
from glnet.model.resampling import Axis, Sampling, crop_matrices, merge_matrices
from glnet.model.sharing import Heard

PatchIndex = tuple[int, int]
"""Which row start and which column start of the grid a patch has."""

CAST_NUMBERS = 2**20
"""How many numbers of a map are brought to the canvas's precision at once."""


class Banded(NamedTuple):
    """Matrices without the columns that are zero: patch k acts on ``offsets[k]`` and on.

    Attributes:
        offsets: First column kept, per patch.
        matrices: (patches, rows, support).
    """

    offsets: list[int]
    matrices: Tensor


def banded(matrices: Tensor) -> Banded:
    """Drop zero columns: of (patches, rows, columns), keep as many as the widest patch needs."""
    used = matrices.ne(0).any(dim=1).long()
    first = used.argmax(dim=1)
    last = used.shape[1] - 1 - used.flip(1).argmax(dim=1)
    support = int((last - first).max()) + 1
    offsets = first.clamp_max(used.shape[1] - support).tolist()
    parts = [matrix[:, at : at + support] for matrix, at in zip(matrices, offsets, strict=True)]
    return Banded(offsets, torch.stack(parts))


class Exchange:
    """Crops global maps to patches and spreads patch maps into the thumbnail's frame.

    Args:
        grid: The patches of one raster.
        sampling: `exact`, or `published` for published checkpoints.
    """

    def __init__(self, grid: PatchGrid, sampling: Sampling) -> None:
        self.rows = Axis(grid.raster.height, grid.patch.height, grid.rows)
        self.columns = Axis(grid.raster.width, grid.patch.width, grid.columns)
        self.sampling = sampling
        self._known: dict[tuple[object, ...], Banded] = {}

    def hear(self, of: Tensor, frame: torch.Size, patches: Sequence[PatchIndex]) -> Heard:
        """Crop a global map (1, C, Hm, Wm) to patch maps whose last two sides are ``frame``'s."""
        rows = self._crop(self.rows, of, of.shape[-2], frame[-2])
        columns = self._crop(self.columns, of, of.shape[-1], frame[-1])
        parts = [of[0, :, _span(rows, row), _span(columns, column)] for row, column in patches]
        return Heard(
            torch.stack(parts),
            rows.matrices[[row for row, _ in patches]],
            columns.matrices[[column for _, column in patches]],
        )

    def listener(self, features: BranchFeatures, patches: Sequence[PatchIndex]) -> Listen:
        """What the local branch hears of the context branch at these patches."""

        def listen(own: Levels) -> HeardFeatures:
            return hear_features(
                features, lambda level, of: self.hear(of, own[level].shape, patches)
            )

        return listen

    def spread(self, onto: MapSums, maps: Tensor, patches: Sequence[PatchIndex]) -> None:
        """Add patch maps (N, C, h, w), and how much they weigh, where they belong."""
        canvas, (rows, columns) = onto.canvas, self._merges(onto.canvas, onto.whole, maps)
        step = max(1, CAST_NUMBERS // maps[0, 0].numel())
        for own, (row, column) in zip(maps, patches, strict=True):
            down, across = rows.matrices[row], columns.matrices[column]
            place = (
                _span(rows, row, onto.corner[0]),
                _span(columns, column, onto.corner[1]),
            )
            for part, of in zip(
                torch.split(canvas[:, *place], step), torch.split(own, step), strict=True
            ):
                part.add_(down.T @ (of.to(canvas) @ across))
            onto.reach[place] += torch.outer(down.sum(0), across.sum(0))

    def room(self, like: Tensor, maps: Tensor, patches: Sequence[PatchIndex]) -> MapSums:
        """No sums yet, over the cells of a map (C, Hm, Wm) that patch maps (N, C, h, w) reach."""
        whole = (like.shape[-2], like.shape[-1])
        rows, columns = self._merges(like, whole, maps)
        down = [_span(rows, row) for row in sorted({row for row, _ in patches})]
        across = [_span(columns, column) for column in sorted({column for _, column in patches})]
        corner = (min(of.start for of in down), min(of.start for of in across))
        sides = (
            max(of.stop for of in down) - corner[0],
            max(of.stop for of in across) - corner[1],
        )
        return MapSums.empty(like, whole, corner, sides)

    def _crop(self, axis: Axis, like: Tensor, cells: int, samples: int) -> Banded:
        return self._banded(
            ("crop", axis, cells, samples, like.dtype, like.device),
            lambda: crop_matrices(axis, cells, samples, self.sampling),
            like,
        )

    def _merges(self, like: Tensor, whole: tuple[int, int], maps: Tensor) -> tuple[Banded, Banded]:
        like = like.new_empty(0, dtype=dtype_of_sums(like.dtype))
        return (
            self._merge(self.rows, like, whole[0], maps.shape[-2]),
            self._merge(self.columns, like, whole[1], maps.shape[-1]),
        )

    def _merge(self, axis: Axis, like: Tensor, cells: int, samples: int) -> Banded:
        return self._banded(
            ("merge", axis, cells, samples, like.dtype, like.device),
            lambda: merge_matrices(axis, cells, samples, self.sampling).transpose(1, 2),
            like,
        )

    def _banded(self, key: tuple[object, ...], make: Callable[[], Tensor], like: Tensor) -> Banded:
        if key not in self._known:
            kept = banded(make())
            self._known[key] = Banded(kept.offsets, kept.matrices.to(like.device, like.dtype))
        return self._known[key]


def _span(of: Banded, patch: int, first: int = 0) -> slice:
    """The cells that a patch reaches, counted from a first one."""
    begin = of.offsets[patch] - first
    return slice(begin, begin + of.matrices.shape[-1])
