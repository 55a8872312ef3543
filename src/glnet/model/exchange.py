"""The way between the thumbnail's frame and the patches of one raster.

An `Exchange` knows one raster's patch grid and makes the matrices of `resampling.py` for whatever
map sizes turn up; a `Merger` collects what the local branch offers, patch by patch, into maps of
the thumbnail's frame. Both belong to one run over one raster; no module keeps them.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from glnet.geometry import PatchGrid
from glnet.model.branch import Listen
from glnet.model.features import BranchFeatures, HeardFeatures, Levels, hear_features
from glnet.model.resampling import Axis, Sampling, crop_matrices, merge_matrices
from glnet.model.sharing import Heard

PatchIndex = tuple[int, int]
"""Which row start and which column start of the grid a patch has."""

LEAST_WEIGHT = 1e-4
"""Under this share of the full weight, what patches say of a cell would be its rounding errors."""

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

    def spread(self, canvas: Tensor, maps: Tensor, patches: Sequence[PatchIndex]) -> None:
        """Add patch maps (N, C, h, w) where they belong in a canvas (C, Hm, Wm)."""
        rows = self._merge(self.rows, canvas, canvas.shape[-2], maps.shape[-2])
        columns = self._merge(self.columns, canvas, canvas.shape[-1], maps.shape[-1])
        step = max(1, CAST_NUMBERS // maps[0, 0].numel())
        for own, (row, column) in zip(maps, patches, strict=True):
            place = canvas[:, _span(rows, row), _span(columns, column)]
            for part, of in zip(torch.split(place, step), torch.split(own, step), strict=True):
                part.add_(rows.matrices[row].T @ (of.to(canvas) @ columns.matrices[column]))

    def reach(self, weights: Tensor, maps: Tensor, patches: Sequence[PatchIndex]) -> None:
        """Add what patch maps (N, C, h, w) of ones would add to one channel (Hm, Wm)."""
        rows = self._merge(self.rows, weights, weights.shape[-2], maps.shape[-2])
        columns = self._merge(self.columns, weights, weights.shape[-1], maps.shape[-1])
        for row, column in patches:
            weights[_span(rows, row), _span(columns, column)] += torch.outer(
                rows.matrices[row].sum(0), columns.matrices[column].sum(0)
            )

    def _crop(self, axis: Axis, like: Tensor, cells: int, samples: int) -> Banded:
        return self._banded(
            ("crop", axis, cells, samples, like.dtype, like.device),
            lambda: crop_matrices(axis, cells, samples, self.sampling),
            like,
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


class Merger:
    """Collects the local branch's maps into maps of the thumbnail's frame, at least in float32.

    Args:
        exchange: The raster's way between frames.
        like: The context branch's features, whose sizes the merged maps take.
        places: The patches that there will be; by default all of the raster.
    """

    def __init__(
        self,
        exchange: Exchange,
        like: BranchFeatures,
        places: Sequence[PatchIndex] | None = None,
    ) -> None:
        self._exchange = exchange
        rows, columns = range(len(exchange.rows.starts)), range(len(exchange.columns.starts))
        every = ((row, column) for row in rows for column in columns)
        self._missing = set(every if places is None else places)
        self._skipped: set[PatchIndex] = set()
        self._canvas = like.map(
            lambda _, of: torch.zeros_like(
                of[0], dtype=torch.promote_types(of.dtype, torch.float32)
            )
        )
        self._reach = self._canvas.map(lambda _, of: torch.zeros_like(of[0]))

    def add(self, features: BranchFeatures, patches: Sequence[PatchIndex]) -> None:
        """Add a batch of patches.

        Raises:
            ValueError: If a patch was added before or comes twice.
        """
        if len(set(patches)) < len(patches) or not self._missing.issuperset(patches):
            raise ValueError("a patch can be merged only once")
        self._missing.difference_update(patches)
        for canvas, reach, maps in zip(self._canvas, self._reach, features, strict=True):
            for target, weights, own in zip(canvas, reach, maps, strict=True):
                with _without_autocast(target.device):
                    self._exchange.spread(target, own, patches)
                    self._exchange.reach(weights, own, patches)

    def skip(self, patches: Sequence[PatchIndex]) -> None:
        """Do without some patches: the others' mean is taken where they overlap, else nothing.

        Raises:
            ValueError: If a patch was added before.
        """
        if not self._missing.issuperset(patches):
            raise ValueError("a patch that was merged cannot be skipped")
        self._missing.difference_update(patches)
        self._skipped.update(patches)

    @property
    def sums(self) -> list[Tensor]:
        """The sums so far, (C, Hm, Wm) and their weights, of every layer and level, in order."""
        return [of for maps in (*self._canvas, *self._reach) for of in maps]

    def restore(self, sums: Sequence[Tensor], added: Sequence[PatchIndex]) -> None:
        """Go on from the sums that another merger had after adding these patches.

        Raises:
            ValueError: If they are of other shapes.
        """
        for own, known in zip(self.sums, sums, strict=True):
            if own.shape != known.shape:
                raise ValueError(f"a sum of {tuple(known.shape)} is not one of {tuple(own.shape)}")
            own.copy_(known)
        self._missing.difference_update(added)

    def merged(self, dtype: torch.dtype) -> HeardFeatures:
        """What the refined branch hears once all patches are in; already in its frame.

        Raises:
            ValueError: If patches are missing.
        """
        if self._missing:
            raise ValueError(f"{len(self._missing)} patches are not merged yet")
        if self._skipped:
            for canvas, reach in zip(self._canvas, self._reach, strict=True):
                for target, weights in zip(canvas, reach, strict=True):
                    # Where only skipped patches reach, the sum is zero, and stays.
                    target.div_(torch.where(weights > LEAST_WEIGHT, weights, 1))
        return hear_features(self._canvas, lambda _, of: Heard(of[None].to(dtype)))


def _without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Sums are not for lower precision; a device without content has no precision to lower."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def _span(of: Banded, patch: int) -> slice:
    return slice(of.offsets[patch], of.offsets[patch] + of.matrices.shape[-1])
