"""The only place that knows the numbers: from an architecture to its modules."""

from glnet.baselines.building import build_compared
from glnet.model.backbone import build_backbone
from glnet.model.branch import Branch
from glnet.model.config import Architecture
from glnet.model.features import Layer
from glnet.model.fpn import FPN
from glnet.model.glnet import GLNet
from glnet.model.network_branch import NetworkBranch
from glnet.model.sharing import HearingConv2d

SHARED_LAYERS = {
    "shallow": (Layer.REFINED,),
    "deep": tuple(Layer),
}
"""Which layers a listening branch hears."""


def build_glnet(
    architecture: Architecture,
    bands: int,
    num_classes: int,
    *,
    pretrained: bool = False,
    is_coarse_to_fine: bool = False,
) -> GLNet:
    """Build the network with fresh weights, or with timm's for the backbones.

    Raises:
        ConfigurationError: If timm lacks the backbone, or a compared network cannot use it.
    """
    if architecture.network != "glnet":
        return _compared(architecture, bands, num_classes, pretrained=pretrained)

    def branch(listens_to: tuple[Layer, ...] = ()) -> Branch:
        backbone, channels = build_backbone(architecture.backbone, bands, pretrained=pretrained)
        fpn = FPN(channels, architecture.fpn_width, architecture.refined_width, listens_to)
        fused = architecture.refined_width * len(channels)
        return Branch(backbone, fpn, HearingConv2d(fused, [], num_classes, 3))

    shared = SHARED_LAYERS[architecture.sharing_depth]
    has_global = architecture.branches != "local"
    has_local = architecture.branches != "global"
    hears_context = architecture.sharing != "none"
    hears_patches = architecture.sharing == "bidirectional"
    fused = architecture.refined_width * 4
    return GLNet(
        context=branch() if has_global else None,
        local=branch(shared if hears_context else ()) if has_local else None,
        refined=branch(shared) if hears_patches else None,
        aggregation=HearingConv2d(fused, [fused], num_classes, 3)
        if architecture.aggregation
        else None,
        coarse=branch() if is_coarse_to_fine else None,
    )


def _compared(
    architecture: Architecture, bands: int, num_classes: int, *, pretrained: bool
) -> GLNet:
    """A network that the paper compares with, in the place of the branch that there is."""
    assert architecture.network != "glnet"
    network = build_compared(
        architecture.network, architecture.backbone, bands, num_classes, pretrained=pretrained
    )
    branch = NetworkBranch(
        network, num_classes, network.stride, network.divisor, network.auxiliary_weights
    )
    sees_patches = architecture.branches == "local"
    return GLNet(
        None if sees_patches else branch,
        branch if sees_patches else None,
        None,
        None,
        stride=network.stride,
    )
