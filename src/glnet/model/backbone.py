"""Backbones by their timm name: four maps at strides 4, 8, 16 and 32."""

from functools import lru_cache
from typing import cast

import timm
import torch
from timm.models import FeatureInfo
from torch import Tensor, nn

from glnet.errors import ConfigurationError
from glnet.model.features import Levels

STRIDES = (4, 8, 16, 32)

TRIAL_SIZE = (67, 101)
"""What a network is tried on: sides that divide by nothing, as patches and thumbnails may."""


class Backbone(nn.Module):
    """C2..C5 of a timm network (section 4.1 uses ResNet-50).

    Args:
        network: A timm network built with ``features_only``.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Levels:
        """Turn (N, bands, H, W) into four maps, finest first."""
        return tuple(self.network(pixels))


def build_backbone(
    name: str, bands: int, *, pretrained: bool = False
) -> tuple[Backbone, list[int]]:
    """Build a timm network and tell the channels of its four levels.

    Raises:
        ConfigurationError: If timm has no such network, it lacks one of the four strides, or it
            takes only images of some sizes.
    """
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name[:6]}*")[:5]) or "see timm.list_models()"
        raise ConfigurationError(f"timm has no backbone {name!r}; near it: {near}")
    try:
        indices = _level_indices(name)
        network = timm.create_model(
            name, features_only=True, pretrained=pretrained, in_chans=bands, out_indices=indices
        )
    except (RuntimeError, ValueError, AttributeError, AssertionError) as error:
        raise ConfigurationError(
            f"backbone {name!r} gives no four levels at strides 4, 8, 16 and 32 for images of any "
            f"size: {error}"
        ) from error
    return Backbone(network), list(_info(network).channels())


@lru_cache(maxsize=16)
def _level_indices(name: str) -> tuple[int, ...]:
    """Which of a network's maps are C2..C5, tried out: what a network promises it may not keep."""
    with torch.random.fork_rng(devices=[]):  # a seed must give the same weights at any time
        trial = timm.create_model(name, features_only=True, pretrained=False).eval()
    strides, channels = _info(trial).reduction(), _info(trial).channels()
    indices = tuple(strides.index(stride) for stride in STRIDES)
    maps = trial.to("meta")(torch.zeros(1, 3, *TRIAL_SIZE, device="meta"))  # nothing is computed
    for index in indices:
        if maps[index].ndim != 4 or maps[index].shape[1] != channels[index]:
            raise ValueError(f"expected maps (N, C, H, W), got {tuple(maps[index].shape)}")
    return indices


def _info(network: nn.Module) -> FeatureInfo:
    return cast(FeatureInfo, network.feature_info)
