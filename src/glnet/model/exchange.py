"""The way between the thumbnail's frame and the patches of one raster.

An `Exchange` knows one raster's patch grid and makes the matrices of `resampling.py` for whatever
map sizes turn up; a `Merger` collects what the local branch offers, patch by patch, into maps of
the thumbnail's frame. Both belong to one run over one raster; no module keeps them. A `GroupSums`
is what some patches add to a merger, summed up beside it, here or on another machine.
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

    def spread(self, onto: "MapSums", maps: Tensor, patches: Sequence[PatchIndex]) -> None:
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

    def room(self, like: Tensor, maps: Tensor, patches: Sequence[PatchIndex]) -> "MapSums":
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
        like = like.new_empty(0, dtype=_precise(like.dtype))
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
        canvas = like.new_zeros((like.shape[0], *sides), dtype=_precise(like.dtype))
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


class Summed(NamedTuple):
    """What some patches add to the merged maps.

    Attributes:
        maps: One for every map of every layer and level, in order; none of no patches.
        patches: Which patches.
    """

    maps: Sequence[MapSums]
    patches: Sequence[PatchIndex]


class GroupSums:
    """What a group of patches adds to the merged maps, over the cells that the group reaches.

    The sums begin at zero, so that they are the same wherever they are made.

    Args:
        exchange: The raster's way between frames.
        like: The context branch's features, whose sizes the merged maps take.
        places: The patches of the group, of which some may never be added.
    """

    def __init__(
        self, exchange: Exchange, like: BranchFeatures, places: Sequence[PatchIndex]
    ) -> None:
        self._maps: list[MapSums] = []
        self._patches: list[PatchIndex] = []
        self._exchange = exchange
        self._like = _flat(like)
        self._places = places

    def add(self, features: BranchFeatures, patches: Sequence[PatchIndex]) -> None:
        """Add a batch of patches."""
        given = _flat(features)
        if not self._maps:
            self._maps = [
                self._exchange.room(of[0], own, self._places)
                for of, own in zip(self._like, given, strict=True)
            ]
        for onto, own in zip(self._maps, given, strict=True):
            with _without_autocast(own.device):
                self._exchange.spread(onto, own, patches)
        self._patches += patches

    @property
    def summed(self) -> Summed:
        """The sums; add nothing any more."""
        return Summed(self._maps, self._patches)


class Merger:
    """Collects the local branch's maps into maps of the thumbnail's frame, at least in float32.

    Args:
        exchange: The raster's way between frames.
        like: The context branch's features, whose sizes the merged maps take.
        places: The patches that there will be; by default all of the raster.

    Attributes:
        shapes: Maps of the merged ones' shapes that hold one number.
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
        self.shapes = like.map(lambda _, of: of.new_zeros(()).expand(of.shape))
        self._sums: list[MapSums] | None = None

    def add(self, features: BranchFeatures, patches: Sequence[PatchIndex]) -> None:
        """Add a batch of patches.

        Raises:
            ValueError: If a patch was added before or comes twice.
        """
        self._found(patches)
        for onto, own in zip(self._made(), _flat(features), strict=True):
            with _without_autocast(own.device):
                self._exchange.spread(onto, own, patches)

    def add_group(self, group: Summed) -> None:
        """Add the sums of a group, which are not to be used any more.

        Raises:
            ValueError: If a patch was added before or comes twice.
        """
        self._found(group.patches)
        if self._sums is None and group.maps and all(of.is_whole for of in group.maps):
            # Zero and these are these, without the room for zeros.
            self._sums = list(group.maps)
            return
        for onto, own in zip(self._made(), group.maps, strict=True) if group.maps else ():
            onto.add(own)

    def _found(self, patches: Sequence[PatchIndex]) -> None:
        if len(set(patches)) < len(patches) or not self._missing.issuperset(patches):
            raise ValueError("a patch can be merged only once")
        self._missing.difference_update(patches)

    def _made(self) -> list[MapSums]:
        """The sums; zeros before anything was added."""
        if self._sums is None:
            self._sums = [
                MapSums.empty(of[0], (of.shape[-2], of.shape[-1]), (0, 0), of.shape[-2:])
                for of in _flat(self.shapes)
            ]
        return self._sums

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
        made = self._made()
        return [of.canvas for of in made] + [of.reach for of in made]

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
        return heard_maps(self.shapes, self.merged_maps(), dtype)

    def merged_maps(self) -> list[Tensor]:
        """The merged maps (C, Hm, Wm) of every layer and level, in order, once all patches are in.

        Raises:
            ValueError: If patches are missing.
        """
        if self._missing:
            raise ValueError(f"{len(self._missing)} patches are not merged yet")
        made = self._made()
        if self._skipped:
            for of in made:
                # Where only skipped patches reach, the sum is zero, and stays.
                of.canvas.div_(torch.where(of.reach > LEAST_WEIGHT, of.reach, 1))
        return [of.canvas for of in made]


def heard_maps(like: BranchFeatures, maps: Sequence[Tensor], dtype: torch.dtype) -> HeardFeatures:
    """Maps (C, Hm, Wm) of every layer and level, in order, as they are heard in their own frame."""
    left = iter(maps)
    return hear_features(like, lambda *_: Heard(next(left)[None].to(dtype)))


def _flat(features: BranchFeatures) -> list[Tensor]:
    """All maps, in the order of layers and levels."""
    return [of for levels in features for of in levels]


def _precise(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Sums are not for lower precision; a device without content has no precision to lower."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def _span(of: Banded, patch: int, first: int = 0) -> slice:
    """The cells that a patch reaches, counted from a first one."""
    begin = of.offsets[patch] - first
    return slice(begin, begin + of.matrices.shape[-1])
