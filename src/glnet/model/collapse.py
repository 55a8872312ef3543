"""The prediction form of a network whose head is linear.

Behind the backbones there is no activation, so convolutions multiply out: the fusion of a pyramid
followed by the aggregation or a classifier needs no map of 512 channels (`consecutive.py`), what
the aggregation takes of the thumbnail is mixed down to classes before any patch hears it, and batch
normalisation is folded into the backbones' convolutions. What nobody asks for is not computed.
Answers are those of the plain form up to rounding, at every pixel.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from glnet.errors import CollapseError
from glnet.model.answers import Answer
from glnet.model.backbone import Backbone
from glnet.model.branch import Branch, Listen
from glnet.model.compiling import Compiling
from glnet.model.consecutive import ConsecutiveConv2d
from glnet.model.exchange import Exchange, PatchIndex
from glnet.model.features import BranchFeatures, HeardFeatures, Layer
from glnet.model.folding import folded
from glnet.model.forms import PatchOutput, WholeOutput, answers_of, most_seeing, shared_layers
from glnet.model.fpn import FPN
from glnet.model.glnet import GLNet, required
from glnet.model.moving import moved
from glnet.model.network_branch import NetworkBranch
from glnet.model.sharing import HearingConv2d, hear_mixed, taps_apart

BRANCHES = ("context", "local", "refined")
"""The attributes of `GLNet` that are branches, in the order in which they run."""

FAR = "far"
"""The ending that mixes what the aggregation takes of the thumbnail."""


class CollapsedBranch(nn.Module):
    """A branch with other endings than its fused map.

    Args:
        backbone: C2..C5.
        fpn: Its layers.
        endings: By name, each from the refined maps (own, heard 1, ...) to few channels.
    """

    def __init__(self, backbone: Backbone, fpn: FPN, endings: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.backbone = backbone
        self.fpn = fpn
        self.endings = nn.ModuleDict(endings)

    def forward(
        self, pixels: Tensor, listen: Listen | None, wanted: Collection[str]
    ) -> tuple[BranchFeatures, dict[str, Tensor]]:
        """All shared maps, and the wanted endings (N, channels, H/4, W/4)."""
        own = self.backbone(pixels)
        heard = None if listen is None else listen(own)
        features = self.fpn.layers(own, heard)
        finest, others = self.fpn.fused_of(features.refined, heard)
        return features, {name: self.endings[name](finest, *others) for name in wanted}


class CollapsedForm:
    """A network as `collapse` leaves it. One branch at a time is on the device.

    Args:
        make: A branch, by the attribute's name in `GLNet`.
        hears_patches: As `Form.hears_patches`.
        answers: As `Form.answers`.
        shared: The layers that one branch hears of another.
        device: Where to compute.
        dtype: In which numbers.
    """

    def __init__(
        self,
        make: Callable[[str], CollapsedBranch],
        hears_patches: bool,
        answers: tuple[Answer, ...],
        shared: frozenset[Layer],
        device: torch.device | str,
        dtype: torch.dtype,
    ) -> None:
        self.answers = answers
        self.hears_patches = hears_patches
        self._make = make
        self._shared = shared
        self._device = device
        self._dtype = dtype
        self._there: _There | None = None
        self._compiling: Compiling | None = None
        self._compiled: CollapsedBranch | None = None

    def compile(self) -> Compiling:
        """Have the backbone of the branch that sees most compiled; it then stays on the device."""
        self._compiling = Compiling()
        return self._compiling

    def see_whole(self, thumbnail: Tensor, wanted: Collection[Answer]) -> WholeOutput:
        """As `Form.see_whole`."""
        return self._whole("context", thumbnail, None, wanted)

    def see_patches(
        self,
        pixels: Tensor,
        whole: WholeOutput | None,
        exchange: Exchange,
        places: Sequence[PatchIndex],
        wanted: Collection[Answer],
    ) -> PatchOutput:
        """As `Form.see_patches`."""
        branch = self._at("local")
        hears = whole is not None and bool(branch.fpn.listens_to)
        listen = exchange.listener(whole.features, places) if hears and whole is not None else None
        ends = {Answer.LOCAL, Answer.AGGREGATED} & set(wanted)
        features, scores = branch(pixels, listen, ends)
        return PatchOutput(features.only(self._shared if self.hears_patches else ()), scores)

    def see_again(
        self, thumbnail: Tensor, merged: HeardFeatures, wanted: Collection[Answer]
    ) -> WholeOutput:
        """As `Form.see_again`."""
        return self._whole("refined", thumbnail, lambda _: merged, wanted)

    def far_part(
        self,
        whole: WholeOutput,
        exchange: Exchange,
        frame: torch.Size,
        places: Sequence[PatchIndex],
    ) -> Tensor:
        """As `Form.far_part`."""
        return hear_mixed(exchange.hear(required(whole.far, "far part"), frame, places), 3)

    def _whole(
        self, name: str, thumbnail: Tensor, listen: Listen | None, wanted: Collection[Answer]
    ) -> WholeOutput:
        ends = {Answer.GLOBAL: Answer.GLOBAL, Answer.AGGREGATED: FAR}
        asked = [ends[answer] for answer in wanted if answer in ends]
        features, found = self._at(name)(thumbnail, listen, asked)
        heard = features.only(self._shared if name == "context" else ())
        return WholeOutput(heard, found.get(Answer.GLOBAL), found.get(FAR))

    def _at(self, name: str) -> CollapsedBranch:
        """A branch on the device; the one before has gone."""
        if self._there is None or self._there.name != name:
            self._there = None
            self._there = _There(name, self._ready(name))
        return self._there.branch

    def _ready(self, name: str) -> CollapsedBranch:
        is_compiled = self._compiling is not None and name == most_seeing(self.answers)
        if is_compiled and self._compiled is not None:
            return self._compiled
        branch = moved(self._make(name), self._device, self._dtype).eval()
        if is_compiled and self._compiling is not None:
            # Code belongs to the module that it was made of, so this one stays.
            branch.backbone.network = self._compiling.of(branch.backbone.network)
            self._compiled = branch
        return branch


class _There(NamedTuple):
    name: str
    branch: CollapsedBranch


def collapse(
    network: GLNet,
    bands: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    part: Callable[[str], nn.Module] | None = None,
    *,
    keeps: bool = True,
) -> CollapsedForm:
    """Multiply out what is linear, branch by branch, when a branch is needed.

    Args:
        network: Trained; not changed.
        bands: Of the images.
        device: Where to compute.
        dtype: In which numbers.
        part: Where the network itself has no weights: reads a branch or the aggregation layer, by
            the attribute's name in `GLNet`.
        keeps: Whether what was made of a branch is kept in host memory for the next image.

    Raises:
        CollapseError: If a part of the head is not what `build_glnet` makes, such as a convolution
            with an activation behind it.
    """
    make = branches_of(network, bands, part)
    return form_with(cache(make) if keeps else make, network, device, dtype)


def branches_of(
    network: GLNet, bands: int, part: Callable[[str], nn.Module] | None = None
) -> Callable[[str], CollapsedBranch]:
    """The collapsed branches, made when they are asked for by their name, as for `collapse`.

    Raises:
        CollapseError: As `collapse`.
    """
    _check_linear(network)
    read = part or network.get_submodule

    def made(name: str) -> CollapsedBranch:
        aggregation = None if network.aggregation is None else read("aggregation")
        branch = read(name)
        assert isinstance(branch, Branch)
        assert aggregation is None or isinstance(aggregation, HearingConv2d)
        return _collapsed(branch, aggregation, bands, is_local=name == "local")

    return made


def form_with(
    make: Callable[[str], CollapsedBranch],
    network: GLNet,
    device: torch.device | str,
    dtype: torch.dtype,
) -> CollapsedForm:
    """A network in the form of collapsed branches."""
    has_refined, shared = network.refined is not None, shared_layers(network)
    return CollapsedForm(make, has_refined, answers_of(network), shared, device, dtype)


def _collapsed(
    branch: Branch, aggregation: HearingConv2d | None, bands: int, *, is_local: bool
) -> CollapsedBranch:
    own_answer = Answer.LOCAL if is_local else Answer.GLOBAL
    endings: dict[str, nn.Module] = {}
    endings[own_answer] = _ending(branch.fpn, branch.classify.weight, branch.classify.bias)
    if aggregation is not None:
        own, far = torch.split(aggregation.weight, list(aggregation.channels), dim=1)
        if is_local:
            endings[Answer.AGGREGATED] = _ending(branch.fpn, own, aggregation.bias)
        else:
            endings[FAR] = _mixing_ending(branch.fpn, taps_apart(far))
    return CollapsedBranch(folded(branch.backbone, bands), branch.fpn.without_fusion(), endings)


def _ending(fpn: FPN, weight: Tensor, bias: Tensor) -> nn.Module:
    """The fused map's making, followed by a 3x3 convolution of it."""
    if fpn.fuse is None:  # The fused map is the refined maps side by side.
        channels = _refined_channels(fpn)
        return _given(HearingConv2d(channels[0], channels[1:], len(weight), 3), weight, bias)
    return ConsecutiveConv2d.of(fpn.fuse, weight, bias)


def _mixing_ending(fpn: FPN, mix: Tensor) -> nn.Module:
    """The fused map's making, followed by a mixing of its channels by (out, C)."""
    if fpn.fuse is None:
        channels = _refined_channels(fpn)
        conv = HearingConv2d(channels[0], channels[1:], len(mix), 1)
        return _given(conv, mix[..., None, None], mix.new_zeros(len(mix)))
    own, *heard = fpn.fuse.channels
    weight = torch.einsum("om,mckl->ockl", mix.double(), fpn.fuse.weight.double())
    bias = mix.double() @ fpn.fuse.bias.double()
    return _given(HearingConv2d(own, heard, len(mix), 3), weight.to(mix), bias.to(mix))


def _refined_channels(fpn: FPN) -> list[int]:
    return [layer.weight.shape[0] for layer in _convolutions(fpn.refine)]


def _given(conv: HearingConv2d, weight: Tensor, bias: Tensor) -> HearingConv2d:
    conv.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    conv.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return conv


def _convolutions(layers: nn.ModuleList) -> list[HearingConv2d]:
    return [layer for layer in layers if isinstance(layer, HearingConv2d)]


def has_own_head(network: GLNet) -> bool:
    """Whether its branches have GLNet's head; other networks run as they are."""
    branches = (network.context, network.local)
    return not any(isinstance(branch, NetworkBranch) for branch in branches)


def _check_linear(network: GLNet) -> None:
    """Only what is known to be linear may be multiplied out.

    Raises:
        CollapseError: If a part is of another kind, or something hooks into it.
    """
    if type(network) is not GLNet:
        raise CollapseError(f"the network is a {type(network).__name__}, not a GLNet")
    for name, part in network.named_modules():
        # The coarse branch is a model of its own.
        if ".backbone." in f".{name}." or name.partition(".")[0] == "coarse":
            continue
        if type(part) not in KNOWN:
            raise CollapseError(
                f"{name or 'the network'} is a {type(part).__name__}, which may not be linear"
            )
        if part._forward_hooks or part._forward_pre_hooks:
            raise CollapseError(f"something hooks into {name or 'the network'}")


KNOWN = (GLNet, Branch, FPN, HearingConv2d, nn.ModuleList)
"""What a head is made of; all of it is linear."""
