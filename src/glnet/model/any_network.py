"""Any PyTorch segmentation network in the local branch's place: patches in, logits out."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from glnet.data.classes import ClassInfo, named_classes
from glnet.errors import ConfigurationError, InputMismatchError
from glnet.model.branch import Branch, BranchOutput
from glnet.model.checkpoint import Model
from glnet.model.config import Architecture, Framing, ModelConfig, Normalization
from glnet.model.exchange import Exchange, PatchIndex
from glnet.model.features import BranchFeatures
from glnet.model.glnet import GLNet

NOTHING_SHARED = BranchFeatures((), (), (), ())


class PatchNetwork(GLNet):
    """A network that sees patches alone; it hears nobody.

    Args:
        network: Takes (N, bands, h, w), gives logits (N, K, any, any); or a mapping that has them
            as ``out`` (torchvision), or an object that has them as ``logits``.
        classes: K.
        stride: Logits are averaged over squares of so many pixels before they wait on the disk.
    """

    def __init__(self, network: nn.Module, classes: int, stride: int) -> None:
        super().__init__(None, None, None, None)
        # What it lacks of a branch, a network without sharing is never asked for.
        self.local = cast(Branch, _Holder(network))
        self._classes = classes
        self.stride = stride

    def see_patches(
        self,
        pixels: Tensor,
        context: BranchFeatures | None,
        exchange: Exchange,
        patches: Sequence[PatchIndex],
    ) -> BranchOutput:
        """Run the network on patches (N, bands, h, w).

        Raises:
            InputMismatchError: If what comes out are no logits of the classes.
        """
        del context, exchange, patches
        assert self.local is not None
        logits = _logits(self.local(pixels), len(pixels), self._classes)
        if self.stride > 1:
            logits = functional.avg_pool2d(logits, self.stride, ceil_mode=True)
        return BranchOutput(NOTHING_SHARED, logits[:, :0], logits)


class _Holder(nn.Module):
    """The network under the names that a branch has."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.network = network

    def forward(self, pixels: Tensor) -> object:
        return cast(nn.Module, self.backbone.network)(pixels)


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
    return Model(PatchNetwork(network, len(named), stride).eval(), config)


def _logits(output: object, patches: int, classes: int) -> Tensor:
    if isinstance(output, dict):
        output = output.get("out")
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(logits, Tensor) or logits.ndim != 4:
        raise InputMismatchError(
            "the network must give logits (N, classes, height, width), a mapping with 'out' or an "
            f"object with logits; it gave {type(output).__name__}"
        )
    if logits.shape[:2] != torch.Size((patches, classes)):
        raise InputMismatchError(
            f"the network must give logits of {patches} patches and {classes} classes, it gave "
            f"{tuple(logits.shape)}"
        )
    return logits
