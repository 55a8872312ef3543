"""Any PyTorch segmentation network in the local branch's place: patches in, logits out."""

from collections.abc import Sequence

from torch import nn

from glnet.data.classes import ClassInfo, named_classes
from glnet.errors import ConfigurationError
from glnet.model.checkpoint import Model
from glnet.model.config import Architecture, Framing, ModelConfig, Normalization
from glnet.model.glnet import GLNet
from glnet.model.network_branch import NetworkBranch


def from_network(  # noqa: PLR0913 - all that a checkpoint of our own would say
    network: nn.Module,
    classes: Sequence[str | ClassInfo],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    patch_size: int = 512,
    overlap: int | None = None,
    stride: int = 1,
) -> Model:
    """A model out of any segmentation network, for `glnet.segment` and `glnet.segment_file`.

    It sees patches at full resolution and no context; bounded memory, blending, georeferencing,
    masks and resuming are those of GLNet.

    Args:
        network: Takes patches (N, bands, patch_size, patch_size), or smaller ones of images that
            are; gives logits (N, K, any, any), or a mapping with ``out``, or an object with
            ``logits``. Put into evaluation mode.
        classes: The names of its K classes, or names with colours.
        mean: Per band, in the units of the files: the network sees ``(pixel - mean) / std``.
        std: Per band.
        patch_size: The side of a patch, in pixels.
        overlap: The least overlap of neighbouring patches, in pixels; by default an eighth of one.
        stride: Logits are averaged over squares of so many pixels before they wait on the disk:
            with 4, they take a sixteenth of the room.

    Raises:
        ConfigurationError: If a number makes no sense, or there are under 2 classes.
    """
    if stride < 1:
        raise ConfigurationError(f"the stride must be at least 1 pixel, got {stride}")
    named = named_classes(classes)
    config = ModelConfig(
        classes=named,
        architecture=Architecture(
            backbone=type(network).__name__, branches="local", sharing="none", aggregation=False
        ),
        framing=Framing(
            patch_size=patch_size, overlap=patch_size // 8 if overlap is None else overlap
        ),
        normalization=Normalization(tuple(mean), tuple(std)),
    )
    local = NetworkBranch(network, len(named), stride)
    return Model(GLNet(None, local, None, None, stride=stride).eval(), config)
