"""Merging: what the local branch offers, patch by patch, becomes maps of the thumbnail's frame.

A `Merger` collects the patches of one run over one raster; no module keeps it. A `GroupSums` is
what some patches add to a merger, summed up beside it, here or on another machine.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from glnet.model.exchange import Exchange, PatchIndex
from glnet.model.features import BranchFeatures, HeardFeatures, hear_features
from glnet.model.map_sums import MapSums
from glnet.model.sharing import Heard

LEAST_WEIGHT = 1e-4
"""Under this share of the full weight, what patches say of a cell would be its rounding errors."""


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


def _without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Sums are not for lower precision; a device without content has no precision to lower."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)
