"""Small compared networks, and a batch to train them on."""

import torch
from torch import Tensor
from torch.nn import functional

from glnet.baselines.building import NETWORKS, NetworkName, build_compared
from glnet.baselines.compared import ComparedNetwork

BACKBONES: dict[NetworkName, str] = {
    "unet": "resnet18",
    "pspnet": "resnet18",
    "deeplabv3plus": "resnet18",
    "fpn": "resnet18",
    "fcn8s": "vgg11",
    "segnet": "vgg11",
    "icnet": "resnet18",
}
STRIDES: dict[NetworkName, int] = {
    "unet": 1,
    "pspnet": 8,
    "deeplabv3plus": 4,
    "fpn": 4,
    "fcn8s": 8,
    "segnet": 1,
    "icnet": 4,
}
NAMES = tuple(BACKBONES)
BANDS, CLASSES = 4, 3


def small(name: NetworkName, *, seed: int = 0, pretrained: bool = False) -> ComparedNetwork:
    torch.manual_seed(seed)
    return build_compared(name, BACKBONES[name], BANDS, CLASSES, pretrained=pretrained)


def on_meta(name: NetworkName) -> ComparedNetwork:
    with torch.device("meta"):
        return build_compared(name, BACKBONES[name], BANDS, CLASSES)


def pixels(height: int, width: int, images: int = 1) -> Tensor:
    return torch.randn(images, BANDS, height, width, generator=torch.Generator().manual_seed(1))


def loss_of(network: ComparedNetwork, seen: Tensor) -> Tensor:
    """Cross-entropy of all maps of logits; bright cells are one class, dark ones another."""
    weights = (1.0, *network.auxiliary_weights)
    total = torch.zeros(())
    for weight, logits in zip(weights, network(seen), strict=True):
        means = functional.adaptive_avg_pool2d(seen[:, 0], logits.shape[-2:])
        total = total + weight * functional.cross_entropy(logits, (means > 0).long())
    return total


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


assert set(NAMES) == set(NETWORKS)
