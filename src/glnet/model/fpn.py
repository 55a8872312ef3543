"""The feature pyramid of a branch, which may hear another branch at every layer.

After the backbone there is no activation and no normalisation: everything here is linear
(section 4.1; widths 256 and 128 are the published ones).
"""

import copy
from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from glnet.model.features import BranchFeatures, HeardFeatures, Layer, Levels
from glnet.model.resampling import bilinear_step
from glnet.model.sharing import Heard, HearingConv2d


class FPN(nn.Module):
    """Lateral, top-down, smoothing and refining layers, then one fused map at stride 4.

    Args:
        channels: Channels of C2..C5.
        width: Channels of the top-down and smooth maps.
        refined_width: Channels of the refined maps; the fused map has four times as many.
        listens_to: The layers at which the other branch's map is heard.
    """

    def __init__(
        self,
        channels: Sequence[int],
        width: int,
        refined_width: int,
        listens_to: Collection[Layer] = (),
    ) -> None:
        super().__init__()
        levels = range(len(channels))
        self.listens_to = frozenset(listens_to)

        def heard(layer: Layer, of: int) -> list[int]:
            return [of] if layer in self.listens_to else []

        self.lateral = nn.ModuleList(
            HearingConv2d(of, heard(Layer.BACKBONE, of), width, 1) for of in channels
        )
        self.smooth = nn.ModuleList(
            HearingConv2d(width, heard(Layer.TOP_DOWN, width), width, 3) for _ in levels
        )
        self.refine = nn.ModuleList(
            HearingConv2d(width, heard(Layer.SMOOTH, width), refined_width, 3) for _ in levels
        )
        self.fuse = (
            HearingConv2d(
                refined_width,
                [refined_width] * (2 * len(channels) - 1),
                refined_width * len(channels),
                3,
            )
            if Layer.REFINED in self.listens_to
            else None
        )

    def forward(
        self, backbone: Levels, heard: HeardFeatures | None
    ) -> tuple[BranchFeatures, Tensor]:
        """Turn C2..C5 into all shared maps and the fused map (N, 4 refined_width, H/4, W/4)."""
        features = self.layers(backbone, heard)
        finest, others = self.fused_of(features.refined, heard)
        if self.fuse is None:
            return features, torch.cat([finest, *(other.resampled() for other in others)], dim=1)
        return features, self.fuse(finest, *others)

    def layers(self, backbone: Levels, heard: HeardFeatures | None) -> BranchFeatures:
        """All maps that a branch shares, from its C2..C5."""
        # No name for the lateral maps: it would keep them while the next layers run.
        top_down = _add_downwards(self._layer(self.lateral, backbone, heard, Layer.BACKBONE))
        smooth = self._layer(self.smooth, top_down, heard, Layer.TOP_DOWN)
        refined = self._layer(self.refine, smooth, heard, Layer.SMOOTH)
        return BranchFeatures(backbone, top_down, smooth, refined)

    def fused_of(
        self, refined: Levels, heard: HeardFeatures | None
    ) -> tuple[Tensor, tuple[Heard, ...]]:
        """What the fused map is made of: the finest map, and all others with the way there."""
        finest = refined[0]
        own = [_enlarge(Heard(of), finest) for of in refined[1:]]
        if Layer.REFINED not in self.listens_to:
            return finest, tuple(own)
        others = [_enlarge(other, finest) for other in _listen(heard, Layer.REFINED)]
        return finest, (*own, *others)

    def without_fusion(self) -> "FPN":
        """The same layers, not copied, without the one that makes the fused map."""
        other = copy.copy(self)
        other._modules = {**self._modules, "fuse": None}
        return other

    def _layer(
        self,
        convolutions: nn.ModuleList,
        own: Levels,
        heard: HeardFeatures | None,
        layer: Layer,
    ) -> Levels:
        if layer not in self.listens_to:
            return tuple(conv(of) for conv, of in zip(convolutions, own, strict=True))
        others = _listen(heard, layer)
        return tuple(
            conv(of, other) for conv, of, other in zip(convolutions, own, others, strict=True)
        )


def _listen(heard: HeardFeatures | None, layer: Layer) -> tuple[Heard, ...]:
    if heard is None:
        raise ValueError("this branch listens to another one, but nothing was given to hear")
    levels: tuple[Heard, ...] = getattr(heard, layer.value)
    return levels


def _add_downwards(lateral: Levels) -> Levels:
    """P5..P2: every level plus the coarser one brought to its size bilinearly; finest first."""
    maps = [lateral[-1]]
    for own in reversed(lateral[:-1]):
        above = functional.interpolate(maps[0], own.shape[-2:], mode="bilinear")
        maps.insert(0, above + own)
    return tuple(maps)


def _enlarge(heard: Heard, finest: Tensor) -> Heard:
    """Follow the way into this level's frame by the bilinear step to the finest level's."""
    if heard.rows is None and heard.map.shape[-2:] == finest.shape[-2:]:
        return heard
    height, width = finest.shape[-2:]
    rows = bilinear_step(_height_here(heard), height, heard.map)
    columns = bilinear_step(_width_here(heard), width, heard.map)
    return Heard(
        heard.map,
        rows[None] if heard.rows is None else rows @ heard.rows,
        columns[None] if heard.columns is None else columns @ heard.columns,
    )


def _height_here(heard: Heard) -> int:
    return heard.map.shape[-2] if heard.rows is None else heard.rows.shape[-2]


def _width_here(heard: Heard) -> int:
    return heard.map.shape[-1] if heard.columns is None else heard.columns.shape[-2]
