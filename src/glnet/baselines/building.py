"""Compared networks by their names, on backbones by timm's."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, get_args

import timm
import torch

from glnet.baselines.compared import ComparedNetwork
from glnet.baselines.fcn import build_fcn8s
from glnet.baselines.icnet import build_icnet
from glnet.baselines.segmentation_models import (
    build_deeplabv3plus,
    build_fpn,
    build_pspnet,
    build_unet,
    require_library,
)
from glnet.baselines.segnet import build_segnet, normalised
from glnet.errors import ConfigurationError

NetworkName = Literal["unet", "pspnet", "deeplabv3plus", "fpn", "fcn8s", "segnet", "icnet"]

NETWORKS: tuple[str, ...] = get_args(NetworkName)
"""The networks of Table 3."""

TRIAL_SIZE = (96, 160)
"""What a network is tried on: a multiple of every divisor, and no size that timm has made for."""

TROUBLES = (RuntimeError, ValueError, TypeError, AttributeError, AssertionError, LookupError)
"""What timm and segmentation-models-pytorch raise where a backbone does not fit."""


class _Builder(Protocol):
    def __call__(
        self, backbone: str, bands: int, classes: int, *, pretrained: bool
    ) -> ComparedNetwork: ...


class _Kind(NamedTuple):
    """How to build a network.

    Attributes:
        build: Builds it.
        fitting: Some backbones that would do, for messages.
        needs_library: Whether segmentation-models-pytorch builds it.
    """

    build: _Builder
    fitting: tuple[str, ...]
    needs_library: bool = False


ANY_PYRAMID = ("resnet50", "resnet18", "mobilenetv3_small_100", "vgg16_bn")
DILATED = ("resnet50", "resnet18", "mobilenetv3_small_100")
ANY_VGG = ("vgg16", "vgg16_bn", "vgg13", "vgg11")

_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "unet": _Kind(build_unet, ANY_PYRAMID, needs_library=True),
        "pspnet": _Kind(build_pspnet, DILATED, needs_library=True),
        "deeplabv3plus": _Kind(build_deeplabv3plus, DILATED, needs_library=True),
        "fpn": _Kind(build_fpn, ANY_PYRAMID, needs_library=True),
        "fcn8s": _Kind(build_fcn8s, ANY_VGG),
        "segnet": _Kind(build_segnet, ANY_VGG),
        "icnet": _Kind(build_icnet, ("resnet50", "resnet50d", "resnet18")),
    }
)


def build_compared(
    name: NetworkName, backbone: str, bands: int, classes: int, *, pretrained: bool = False
) -> ComparedNetwork:
    """Build a network with fresh weights, or with timm's for the backbone.

    Args:
        name: One of `NETWORKS`.
        backbone: Its name in timm, such as "resnet50" or "vgg16.tv_in1k".
        bands: Of the images.
        classes: K.
        pretrained: Whether the backbone has timm's weights, which may download them.

    Raises:
        ConfigurationError: If there is no such network or backbone, the backbone does not fit the
            network or has no weights in timm, or a library is missing.
    """
    if name not in _KINDS:
        raise ConfigurationError(f"there is no network {name!r}; there are: {', '.join(NETWORKS)}")
    kind = _KINDS[name]
    if kind.needs_library:
        require_library()
    if not timm.is_model(backbone):
        near = ", ".join(timm.list_models(f"*{backbone[:6]}*")[:5]) or ", ".join(kind.fitting)
        raise ConfigurationError(f"timm has no backbone {backbone!r}; near it: {near}")
    _try_out(name, backbone)
    if pretrained:
        _require_weights(normalised(backbone) if name == "segnet" else backbone)
    return kind.build(backbone, bands, classes, pretrained=pretrained)


@lru_cache(maxsize=64)
def _try_out(name: str, backbone: str) -> None:
    """Let a network run where nothing is computed: what a backbone promises it may not keep.

    Raises:
        ConfigurationError: If the backbone does not fit.
    """
    kind = _KINDS[name]
    # A seed must give the same weights at any time.
    with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
        try:
            trial = kind.build(backbone, 3, 2, pretrained=False).eval()
            logits = trial(torch.zeros(1, 3, *TRIAL_SIZE))[0]
            expected = (1, 2, *(side // trial.stride for side in TRIAL_SIZE))
            if tuple(logits.shape) != expected:
                raise ValueError(f"expected logits {expected}, got {tuple(logits.shape)}")
        except TROUBLES as error:
            said = " ".join(str(error).split()) or "its library refuses it"
            raise ConfigurationError(
                f"network {name!r} cannot have the backbone {backbone!r} ({said}); these would do: "
                f"{', '.join(kind.fitting)}"
            ) from error


def _require_weights(backbone: str) -> None:
    if not timm.models.is_model_pretrained(backbone):
        raise ConfigurationError(
            f"timm has no weights for the backbone {backbone!r}; begin without them, or choose "
            "another backbone"
        )
