"""Where branches start: at what an earlier stage has learnt, with nothing heard yet."""

from dataclasses import replace

import torch
from torch import nn

from glnet.errors import CheckpointError
from glnet.model.branch import Branch
from glnet.model.checkpoint import Model
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


STAGES = ("context", "local", "refined")
"""In the order they train, each named after the branch that does."""


def as_trained(model: Model, stage: str) -> Model:
    """The model as far as a stage has trained it: what trains later is left out."""
    network, architecture = model.network, model.config.architecture
    if stage == "context":
        network = GLNet(network.context, None, None, None)
        architecture = replace(architecture, branches="global", sharing="none", aggregation=False)
    elif stage == "local" and network.refined is not None:
        network = GLNet(network.context, network.local, None, network.aggregation)
        architecture = replace(architecture, sharing="global_to_local")
    return Model(network, replace(model.config, architecture=architecture))


def take_over(model: Model, given: Model) -> tuple[str, ...]:
    """Copy the branches of a model whose stages are done; returns those stages.

    Raises:
        CheckpointError: If it is of other classes or of another architecture than the run.
    """
    ours = [info.name for info in model.config.classes]
    theirs = [info.name for info in given.config.classes]
    if ours != theirs:
        raise CheckpointError(
            f"start_from has the classes {', '.join(theirs)}; the dataset has {', '.join(ours)}"
        )
    done = tuple(name for name in STAGES if getattr(given.network, name) is not None)
    wanted = as_trained(model, done[-1]).network.state_dict()
    weights = given.network.state_dict()
    if fault := _difference(wanted, weights):
        raise CheckpointError(
            f"start_from has trained {' and '.join(done)}, but of another architecture: {fault}; "
            "give both the same backbone, widths, sharing and aggregation"
        )
    model.network.load_state_dict(weights, strict=False)
    return done


def _difference(wanted: dict[str, torch.Tensor], given: dict[str, torch.Tensor]) -> str | None:
    """The first tensor that the two do not share, in words."""
    for name in sorted(wanted.keys() | given.keys()):
        shapes = [tuple(of[name].shape) if name in of else None for of in (wanted, given)]
        if shapes[0] != shapes[1]:
            return f"{name} is expected as {shapes[0]}, came as {shapes[1]}"
    return None
