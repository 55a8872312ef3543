"""Where branches start: at what an earlier stage has learnt, with nothing heard yet."""

import torch
from torch import nn

from glnet.model.branch import Branch
from glnet.model.glnet import GLNet
from glnet.model.sharing import HearingConv2d


def start_local(network: GLNet) -> None:
    """Start the local branch at the context branch's weights; what it hears starts at nothing."""
    if network.local is not None and network.context is not None:
        start_from(network.local, network.context)


def start_refined(network: GLNet) -> None:
    """Start the refined branch at the context branch's weights, hearing nothing yet.

    Its answers are then the context branch's, so the stage starts where the local stage ended.
    """
    if network.refined is not None and network.context is not None:
        start_from(network.refined, network.context)


def start_aggregation(network: GLNet) -> None:
    """Start the aggregation as the local branch's classifier, hearing nothing of the global one.

    Its answers are then the local branch's, and what the global branch adds is learnt; from random
    weights it first had to unlearn the noise that the global map brings in.
    """
    if network.aggregation is not None and network.local is not None:
        _copy_own(network.aggregation, network.local.classify)


def start_from(listener: Branch, branch: Branch) -> None:
    """Copy a branch that hears nobody into one that listens, whose heard weights become zero."""
    listener.backbone.load_state_dict(branch.backbone.state_dict())
    for ours, theirs in (
        (listener.fpn.lateral, branch.fpn.lateral),
        (listener.fpn.smooth, branch.fpn.smooth),
        (listener.fpn.refine, branch.fpn.refine),
    ):
        for target, source in zip(ours, theirs, strict=True):
            _copy_own(target, source)
    _copy_own(listener.classify, branch.classify)
    if listener.fpn.fuse is not None:
        _pass_through(listener.fpn.fuse)


@torch.no_grad()
def _copy_own(target: nn.Module, source: nn.Module) -> None:
    assert isinstance(target, HearingConv2d)
    assert isinstance(source, HearingConv2d)
    target.weight.zero_()
    target.weight[:, : source.weight.shape[1]] = source.weight
    target.bias.copy_(source.bias)


@torch.no_grad()
def _pass_through(fuse: HearingConv2d) -> None:
    """Make the fusion give its own levels' maps as they come."""
    fuse.weight.zero_()
    fuse.bias.zero_()
    channels = torch.arange(fuse.weight.shape[0])
    fuse.weight[channels, channels, 1, 1] = 1.0
