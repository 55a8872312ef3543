"""Where branches start: at what an earlier stage has learnt, with nothing heard yet."""

from dataclasses import replace

import torch
from torch import nn

from glnet.errors import CheckpointError
from glnet.model.branch import Branch
from glnet.model.checkpoint import Model
from glnet.model.coarse import coarse_of
from glnet.model.glnet import GLNet
from glnet.model.sharing import HearingConv2d
from glnet.training.choices import Start

STAGES = ("coarse", "context", "local", "refined")
"""In the order they train, each named after the branch that does."""

THUMBNAIL_STAGES = ("coarse", "context")
"""Those that see thumbnails alone."""


def start_branch(network: GLNet, stage: str, start: Start) -> None:
    """Start a stage's branch at another one's weights; what it hears starts at nothing.

    A branch's answers are then those of the other one. So the refined stage, from the context
    branch on, starts where the local stage ended. Where there is no such branch, or it does not
    train before this one, the weights stay as they are.
    """
    if start == "fresh" or STAGES.index(start) >= STAGES.index(stage):
        return
    branch, source = getattr(network, stage), getattr(network, start)
    if isinstance(branch, Branch) and isinstance(source, Branch):
        start_from(branch, source)


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


def as_trained(model: Model, stage: str) -> Model:
    """The model as far as a stage has trained it: what trains later is left out.

    After the coarse stage, that is an ordinary model of the global branch alone. It has seen whole
    images, and the extent in the configuration is that of boxes; so it names none.
    """
    network, architecture = model.network, model.config.architecture
    if stage == "coarse":
        return coarse_of(model)
    if stage == "context":
        network = GLNet(network.context, None, None, None, network.coarse)
        architecture = replace(architecture, branches="global", sharing="none", aggregation=False)
    elif stage == "local" and network.refined is not None:
        network = GLNet(network.context, network.local, None, network.aggregation, network.coarse)
        architecture = replace(architecture, sharing="global_to_local")
    return Model(network, replace(model.config, architecture=architecture))


def take_weights(network: GLNet, trained: Model, stage: str) -> None:
    """Copy the branches of a model as a stage has left it (`as_trained`)."""
    weights = trained.network.state_dict()
    if stage == "coarse":
        weights = {f"coarse.{name.removeprefix('context.')}": of for name, of in weights.items()}
    network.load_state_dict(weights, strict=False)


def take_over(model: Model, given: Model) -> tuple[str, ...]:
    """Copy the branches of a model whose stages are done; returns those stages.

    A model of the global branch alone gives a coarse-to-fine model its coarse branch.

    Raises:
        CheckpointError: If it is of other classes, of another architecture than the run, or
            coarse-to-fine where the run is not, or the other way round.
    """
    ours = [info.name for info in model.config.classes]
    theirs = [info.name for info in given.config.classes]
    if ours != theirs:
        raise CheckpointError(
            f"start_from has the classes {', '.join(theirs)}; the dataset has {', '.join(ours)}"
        )
    done = _stages_of(given.network)
    if model.network.coarse is not None and given.network.coarse is None:
        if done != ("context",):
            raise CheckpointError(
                "start_from is a whole model without a coarse branch; a coarse-to-fine run starts "
                "from a coarse-to-fine model, or from one of the global branch alone"
            )
        done = ("coarse",)
    elif model.network.coarse is None and given.network.coarse is not None:
        raise CheckpointError(
            "start_from is a coarse-to-fine model, whose branches have seen boxes of images; set "
            "coarse_to_fine, or start from the stages/coarse of its run"
        )
    wanted = as_trained(model, done[-1]).network.state_dict()
    weights = given.network.state_dict()
    if fault := _difference(wanted, weights):
        backbones = [of.config.architecture.backbone for of in (model, given)]
        if backbones[0] != backbones[1]:
            fault = f"its backbone is {backbones[1]}, here it is {backbones[0]}"
        raise CheckpointError(
            f"start_from has trained {' and '.join(done)}, but of another architecture: {fault}; "
            "give both the same backbone, widths, sharing and aggregation"
        )
    take_weights(model.network, given, done[-1])
    return done


def _stages_of(network: GLNet) -> tuple[str, ...]:
    return tuple(name for name in STAGES if getattr(network, name) is not None)


def _difference(wanted: dict[str, torch.Tensor], given: dict[str, torch.Tensor]) -> str | None:
    """The first tensor that the two do not share, in words."""
    for name in sorted(wanted.keys() | given.keys()):
        if name not in given:
            return f"{name} is missing"
        if name not in wanted:
            return f"{name} is unknown here"
        shapes = tuple(wanted[name].shape), tuple(given[name].shape)
        if shapes[0] != shapes[1]:
            return f"{name} is expected as {shapes[0]}, came as {shapes[1]}"
    return None
