"""Backbones by their timm name: four maps at strides 4, 8, 16 and 32."""

import timm
from torch import Tensor, nn

from glnet.errors import ConfigurationError
from glnet.model.features import Levels

STRIDES = (4, 8, 16, 32)


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
        ConfigurationError: If timm has no such network or it lacks one of the four strides.
    """
    if name not in timm.list_models():
        near = ", ".join(timm.list_models(f"*{name[:6]}*")[:5]) or "see timm.list_models()"
        raise ConfigurationError(f"timm has no backbone {name!r}; near it: {near}")
    try:
        info = timm.create_model(name, features_only=True, pretrained=False).feature_info
        indices = [info.reduction().index(stride) for stride in STRIDES]
        network = timm.create_model(
            name, features_only=True, pretrained=pretrained, in_chans=bands, out_indices=indices
        )
    except (RuntimeError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f"backbone {name!r} has no four levels at strides 4, 8, 16 and 32: {error}"
        ) from error
    return Backbone(network), list(network.feature_info.channels())
