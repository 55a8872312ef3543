"""Weights made from their names: the rule by which the published fixtures were made."""

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.model.backbone import build_backbone

STAGES = ("global", "global2local", "local2global")


def rule_weights(shapes: Mapping[str, Sequence[int]], stage: str) -> dict[str, Tensor]:
    return {f"module.{key}": _tensor(key, shape, stage) for key, shape in shapes.items()}


def _tensor(key: str, shape: Sequence[int], stage: str) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    rng = np.random.default_rng(zlib.crc32(f"visible-{stage}:{key}".encode()))
    n: NDArray[np.floating] = rng.standard_normal(tuple(shape)).astype(np.float32)
    if key.endswith(".weight") and len(shape) == 4:
        gain = 2 if key.startswith("resnet") else 1
        n *= math.sqrt(gain / (shape[1] * shape[2] * shape[3]))
    elif key.endswith(".weight"):
        n = (1 + 0.1 * n) * (0.25 if ".bn3." in key else 1)
    elif key.endswith(".bias"):
        n = 0.05 * n
    elif key.endswith(".running_mean"):
        n = 0.1 * n
    elif key.endswith(".running_var"):
        n = 1 + 0.1 * np.abs(n)
    return torch.from_numpy(np.asarray(n, dtype=np.float32))


def published_shapes(num_classes: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a published file for any number of classes."""
    backbone, channels = build_backbone("resnet50", 3)
    names = backbone.network.state_dict()
    shapes = {
        f"resnet_{side}.{name}": tuple(of.shape)
        for side in ("global", "local")
        for name, of in names.items()
    }
    shapes |= _fpn("fpn_global", channels, 1, "") | _fpn("fpn_global", channels, 2, "_ext")
    shapes |= _fpn("fpn_local", channels, 2, "")
    for fpn in ("fpn_global", "fpn_local"):
        shapes |= _convolution(f"{fpn}.smooth", 512, 1024, 3)
        shapes |= _convolution(f"{fpn}.classify", num_classes, 512, 3)
    return shapes | _convolution("ensemble_conv", num_classes, 1024, 3)


def _fpn(fpn: str, channels: Sequence[int], hears: int, suffix: str) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    lateral = ("toplayer", "latlayer1", "latlayer2", "latlayer3")
    for k, (name, of) in enumerate(zip(lateral, reversed(channels), strict=True), start=1):
        shapes |= _convolution(f"{fpn}.{name}{suffix}", 256, hears * of, 1)
        shapes |= _convolution(f"{fpn}.smooth{k}_1{suffix}", 256, hears * 256, 3)
        shapes |= _convolution(f"{fpn}.smooth{k}_2{suffix}", 128, hears * 256, 3)
    return shapes


def _convolution(name: str, out: int, into: int, kernel: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into, kernel, kernel), f"{name}.bias": (out,)}
