"""A trained backbone for prediction: batch normalisation folded, pooling by the quicker way."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from glnet.model.backbone import TRIAL_SIZE, Backbone
from glnet.model.features import Levels
from glnet.model.moving import moved

TOLERANCE = 1e-3
"""Of the largest number of a map: far above rounding, far below another network."""


def folded(backbone: Backbone, bands: int) -> Backbone:
    """The same backbone for prediction with fewer steps, up to rounding; the original stays.

    A batch normalisation that follows no plain convolution stays, and a network that torch.fx
    cannot follow stays whole: both only cost time.
    """
    weight = next(backbone.parameters())
    plain = moved(backbone, weight.device, weight.dtype).eval()
    other = moved(backbone, weight.device, weight.dtype).eval()
    try:
        # Not torch's own `fuse`, and traced without weights: a traced module is a reference cycle,
        # and what it has would stay in memory until Python looks for such.
        for convolution, normalization in _pairs(moved(other.network, "meta", weight.dtype)):
            _fold(other.network, convolution, normalization)
        if _pools(other.network):
            other = PoolingBackbone(other.network)
        if _agree(plain, other, bands):
            return other
    except Exception as error:  # torch.fx runs foreign code and raises what it likes
        logging.getLogger(__name__).debug("batch normalisation stays unfolded: %s", error)
    return plain


def _pairs(network: nn.Module) -> Iterator[tuple[str, str]]:
    """Names of the convolutions whose one reader is a batch normalisation, and of that."""
    graph = fx.symbolic_trace(network).graph
    uses = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    modules = dict(network.named_modules())
    for node in graph.nodes:
        if node.op != "call_module" or type(modules[str(node.target)]) is not nn.BatchNorm2d:
            continue
        before = node.args[0]
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        names = str(before.target), str(node.target)
        if type(modules[names[0]]) is nn.Conv2d and all(uses[name] == 1 for name in names):
            yield names


def _fold(network: nn.Module, convolution: str, normalization: str) -> None:
    first = network.get_submodule(convolution)
    second = network.get_submodule(normalization)
    assert isinstance(first, nn.Conv2d)
    assert isinstance(second, nn.BatchNorm2d)
    network.set_submodule(convolution, fuse_conv_bn_eval(first, second))
    network.set_submodule(normalization, nn.Identity())


_stands_for_cpu: ContextVar[bool] = ContextVar("stands_for_cpu", default=False)


@contextmanager
def standing_for_cpu(*, is_so: bool) -> Iterator[None]:
    """Have tensors without content be copied where those on a CPU are, so that it is counted."""
    token = _stands_for_cpu.set(is_so)
    try:
        yield
    finally:
        _stands_for_cpu.reset(token)


class PoolingBackbone(Backbone):
    """A backbone with max pooling, whose channels lie together on a CPU.

    There maxima are then found several times faster, and convolutions are no slower. Its maps have
    the usual layout: what follows works on one channel at a time.
    """

    def forward(self, pixels: Tensor) -> Levels:
        """As `Backbone.forward`."""
        if pixels.device.type == "cpu" or _stands_for_cpu.get():
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        maps = list(super().forward(pixels))
        return tuple(maps.pop(0).contiguous() for _ in range(len(maps)))  # one at a time twice


def _pools(network: nn.Module) -> bool:
    return any(isinstance(part, nn.MaxPool2d) for part in network.modules())


@torch.no_grad()
def _agree(one: Backbone, other: Backbone, bands: int) -> bool:
    """Whether both give the same maps of noise, of a size that torch.fx has not seen."""
    weight = next(one.parameters())
    if weight.is_meta:  # there is nothing to compare
        return True
    noise = torch.rand((1, bands, *TRIAL_SIZE), generator=torch.Generator().manual_seed(0))
    noise = noise.to(weight.device, weight.dtype)
    with torch.autocast(weight.device.type, enabled=False):  # its rounding would tell them apart
        return all(
            bool((a - b).abs().max() <= TOLERANCE * a.abs().max())
            for a, b in zip(one(noise), other(noise), strict=True)
        )
