"""What one branch offers another: a map per layer and pyramid level."""

from collections.abc import Callable, Collection
from enum import StrEnum
from typing import NamedTuple

from torch import Tensor

from glnet.model.sharing import Heard

Levels = tuple[Tensor, ...]
"""One map per pyramid level, finest (stride 4) first; each is (N, C, H, W)."""

HeardLevels = tuple[Heard, ...]
"""The same of another frame."""


class Layer(StrEnum):
    """The layers whose maps are shared, in the order they run."""

    BACKBONE = "backbone"
    TOP_DOWN = "top_down"
    SMOOTH = "smooth"
    REFINED = "refined"


class BranchFeatures(NamedTuple):
    """Everything one branch offers another, in the order the layers run.

    A layer that nobody hears may be empty.
    """

    backbone: Levels
    top_down: Levels
    smooth: Levels
    refined: Levels

    def map(self, change: Callable[[int, Tensor], Tensor]) -> "BranchFeatures":
        """The same family with every map changed; the function is told the level."""
        return BranchFeatures(
            *(tuple(change(level, of) for level, of in enumerate(levels)) for levels in self)
        )

    def only(self, layers: Collection[Layer]) -> "BranchFeatures":
        """The same without the maps of other layers."""
        kept = (of if layer in layers else () for layer, of in zip(Layer, self, strict=True))
        return BranchFeatures(*kept)


class HeardFeatures(NamedTuple):
    """Another branch's features with the way into this branch's frame."""

    backbone: HeardLevels
    top_down: HeardLevels
    smooth: HeardLevels
    refined: HeardLevels


def hear_features(features: BranchFeatures, bring: Callable[[int, Tensor], Heard]) -> HeardFeatures:
    """Make every map of a branch heard; the function brings a level's map into another frame."""
    return HeardFeatures(
        *(tuple(bring(level, of) for level, of in enumerate(levels)) for levels in features)
    )
