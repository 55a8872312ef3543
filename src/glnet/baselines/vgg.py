"""VGG of timm, cut at its poolings, for the networks that are built on it."""

from typing import cast

import timm
from timm.models.vgg import VGG
from torch import nn

NO_HEAD = 1 / 4096
"""The ratio by which timm's hidden layer of 4096 channels shrinks to one."""


def build_vgg(name: str, bands: int, *, pretrained: bool, keeps_head: bool) -> VGG:
    """Build a VGG without its classifier.

    Args:
        name: Of timm's, such as "vgg16" or "vgg16_bn".
        bands: Of the image.
        pretrained: Whether it has timm's weights.
        keeps_head: Whether its two fully connected layers are needed. Else they are made small
            where that can be: they are nine tenths of it.

    Raises:
        ValueError: If it is no VGG.
    """
    if not name.startswith("vgg"):
        raise ValueError("it is no VGG of timm")
    shrinks = not keeps_head and not pretrained  # published weights fit only what is whole
    network = timm.create_model(
        name,
        pretrained=pretrained,
        in_chans=bands,
        num_classes=0,
        mlp_ratio=NO_HEAD if shrinks else 1.0,
    )
    return cast(VGG, network)


def stages_of(vgg: VGG) -> list[nn.Sequential]:
    """Cut the convolutions of a VGG into its five stages, each without the pooling at its end."""
    stages: list[nn.Sequential] = [nn.Sequential()]
    for layer in vgg.features:
        if isinstance(layer, nn.MaxPool2d):
            stages.append(nn.Sequential())
        else:
            stages[-1].append(layer)
    return stages[:-1]  # nothing follows the last pooling
