"""Published checkpoints: one, two or three ``.pth`` files become one model.

Every file holds the whole state dict under the prefix ``module.``; each stage uses a part of it.
The published pyramid counts its levels from the coarsest and concatenates in that order, ours from
the finest, so the weights that act on concatenated levels are reordered here.
"""

import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from glnet.data.classes import ClassInfo
from glnet.data.colors import default_color
from glnet.data.deepglobe import PUBLISHED_CLASSES
from glnet.errors import CheckpointError
from glnet.model.checkpoint import Model, new_model
from glnet.model.config import (
    Architecture,
    Framing,
    ModelConfig,
    Normalization,
    Sharing,
)

Weights = dict[str, Tensor]

REFINED_WIDTH = 128


def convert_published(
    files: Sequence[str | Path], patch_size: int = 508, thumbnail_size: int = 508
) -> Model:
    """Turn the published files of stages 1, 2 and 3, in this order, into a model.

    One file gives the global branch alone, two the global to local form, three the bidirectional
    form (`Which weights serve which stage`: the context branch comes from the first file in the
    bidirectional form and from the second otherwise).

    Raises:
        CheckpointError: If a file is no published checkpoint, or would need unpickling of code.
        ConfigurationError: If a size is impossible.
    """
    if not 1 <= len(files) <= 3:
        raise CheckpointError(f"expected one to three published files, got {len(files)}")
    states = [read_published(path) for path in files]
    config = _config(states, patch_size, thumbnail_size, files)
    model = new_model(config)
    try:
        weights = _fitting(_weights(states), model.network.state_dict())
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        names = ", ".join(str(path) for path in files)
        raise CheckpointError(f"{names}: no published GLNet with a ResNet-50: {reason}") from error
    model.network.load_state_dict(weights)
    model.network.eval()
    return model


def read_published(path: str | Path) -> Weights:
    """Read a published ``.pth``: names without their prefix ``module.`` to tensors.

    Raises:
        CheckpointError: If there is no such file, it is damaged, needs unpickling of code (which
            is refused, not run), or holds anything but tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no such file: {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} needs code to be unpickled or is no checkpoint; refused, nothing was run"
        ) from error
    except Exception as error:  # foreign bytes provoke whatever they like in the unpickler
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is damaged or no checkpoint: {reason}") from error
    if not isinstance(state, dict) or not all(isinstance(of, Tensor) for of in state.values()):
        raise CheckpointError(f"{path} is no published GLNet: expected names and tensors only")
    return {str(name).removeprefix("module."): of for name, of in state.items()}


def _config(
    states: list[Weights], patch_size: int, thumbnail_size: int, files: Sequence[str | Path]
) -> ModelConfig:
    last = states[-1]
    if "fpn_global.classify.bias" not in last:
        raise CheckpointError(f"{files[-1]} is no published GLNet: no fpn_global.classify.bias")
    sharings: tuple[Sharing, ...] = ("none", "global_to_local", "bidirectional")
    alone = len(states) == 1
    return ModelConfig(
        classes=_classes(last["fpn_global.classify.bias"].numel()),
        architecture=Architecture(
            branches="global" if alone else "both",
            sharing=sharings[len(states) - 1],
            aggregation=not alone,
        ),
        framing=Framing(
            patch_size=patch_size,
            thumbnail_size=thumbnail_size,
            sampling="published",
        ),
        normalization=Normalization(),
    )


def _classes(number: int) -> tuple[ClassInfo, ...]:
    if number == len(PUBLISHED_CLASSES):
        return PUBLISHED_CLASSES
    return tuple(ClassInfo(f"class {k}", default_color(k)) for k in range(number))


def _fitting(weights: Weights, wanted: Weights) -> Weights:
    """Those weights that the network has, once every shape is right."""
    for name, of in wanted.items():
        came = tuple(weights[name].shape) if name in weights else "nothing"
        if came != tuple(of.shape):
            raise ValueError(f"{name} needs shape {tuple(of.shape)}, the file gives {came}")
    return {name: weights[name] for name in wanted}


def _weights(states: list[Weights]) -> Weights:
    last = states[-1]
    weights = _branch("context", last, "resnet_global", "fpn_global")
    if len(states) == 1:
        return weights
    if len(states) == 3:
        weights = _branch("context", states[0], "resnet_global", "fpn_global")
        weights |= _branch("refined", last, "resnet_global", "fpn_global", "_ext")
    weights |= _branch("local", last, "resnet_local", "fpn_local")
    weights["aggregation.weight"] = _aggregation(states)
    weights["aggregation.bias"] = last["ensemble_conv.bias"]
    return weights


def _aggregation(states: list[Weights]) -> Tensor:
    """Only the context branch's fused map is a plain concatenation of levels; see `FPN`."""
    own, heard = states[-1]["ensemble_conv.weight"].chunk(2, dim=1)
    return torch.cat([own, _finest_first(heard) if len(states) == 2 else heard], dim=1)


def _branch(ours: str, state: Weights, resnet: str, fpn: str, suffix: str = "") -> Weights:
    """One branch under our names; the suffix picks the layers that hear."""
    weights = {
        f"{ours}.backbone.network.{name.removeprefix(resnet + '.')}": of
        for name, of in state.items()
        if name.startswith(resnet + ".")
    }
    lateral = ("latlayer3", "latlayer2", "latlayer1", "toplayer")
    for level, name in enumerate(lateral):
        theirs = {
            f"lateral.{level}": f"{name}{suffix}",
            f"smooth.{level}": f"smooth{4 - level}_1{suffix}",
            f"refine.{level}": f"smooth{4 - level}_2{suffix}",
        }
        for our, their in theirs.items():
            for kind in ("weight", "bias"):
                if f"{fpn}.{their}.{kind}" in state:
                    weights[f"{ours}.fpn.{our}.{kind}"] = state[f"{fpn}.{their}.{kind}"]
    weights |= _ends(ours, state, fpn, hears=bool(suffix) or fpn == "fpn_local")
    return weights


def _ends(ours: str, state: Weights, fpn: str, *, hears: bool) -> Weights:
    weights = {}
    classify, smooth = state.get(f"{fpn}.classify.weight"), state.get(f"{fpn}.smooth.weight")
    if hears and smooth is not None:
        weights[f"{ours}.fpn.fuse.weight"] = _own_then_heard(smooth)
        weights[f"{ours}.fpn.fuse.bias"] = state[f"{fpn}.smooth.bias"]
        if classify is not None:
            weights[f"{ours}.classify.weight"] = classify
    elif classify is not None:
        weights[f"{ours}.classify.weight"] = _finest_first(classify)
    weights[f"{ours}.classify.bias"] = state[f"{fpn}.classify.bias"]
    return weights


def _finest_first(weight: Tensor) -> Tensor:
    """Reorder input channels from P5, P4, P3, P2 to P2, P3, P4, P5."""
    return torch.cat([*reversed(torch.split(weight, REFINED_WIDTH, dim=1))], dim=1)


def _own_then_heard(weight: Tensor) -> Tensor:
    """From own P5, heard P5, own P4, ... to own P2..P5, heard P2..P5."""
    blocks = torch.split(weight, REFINED_WIDTH, dim=1)
    return torch.cat([*reversed(blocks[0::2]), *reversed(blocks[1::2])], dim=1)
