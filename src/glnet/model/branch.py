"""A branch: backbone, pyramid, classifier. Context, local and refined branch are three of these.

`AnyBranch` is what may stand in a branch's place: a network that shares nothing has no pyramid.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from glnet.model.backbone import Backbone
from glnet.model.compiling import Compiling
from glnet.model.features import BranchFeatures, HeardFeatures, Layer, Levels
from glnet.model.folding import folded
from glnet.model.fpn import FPN
from glnet.model.sharing import HearingConv2d

Listen = Callable[[Levels], HeardFeatures]
"""Given a branch's own C2..C5, whose sizes matter: the other branch's maps and the way to here."""


class BranchOutput(NamedTuple):
    """What a branch computes for a batch of pixels.

    Attributes:
        features: The maps it offers the other branch.
        fused: (N, 4 refined_width, H/4, W/4), what aggregation takes (X_L in section 3.2.3).
        logits: (N, num_classes, H/4, W/4), the branch's own answer.
        auxiliary: Answers of coarser layers, which only training asks for, at any size.
    """

    features: BranchFeatures
    fused: Tensor
    logits: Tensor
    auxiliary: tuple[Tensor, ...] = ()


class AnyBranch(nn.Module, ABC):
    """What turns pixels into features and logits.

    Attributes:
        auxiliary_weights: Of the losses of `BranchOutput.auxiliary`.
    """

    auxiliary_weights: tuple[float, ...] = ()

    @property
    def listens_to(self) -> frozenset[Layer]:
        """The layers that it hears of another branch."""
        return frozenset()

    @abstractmethod
    def forward(self, pixels: Tensor, listen: Listen | None = None) -> BranchOutput:
        """Run the branch on normalised pixels (N, bands, H, W)."""

    @abstractmethod
    def compile_with(self, compiling: Compiling) -> None:
        """Have torch.compile make code for what costs most of it."""


class Branch(AnyBranch):
    """Turns pixels into features and logits, hearing another branch where its pyramid listens.

    Args:
        backbone: C2..C5.
        fpn: The pyramid, which decides whether the branch listens.
        classify: 3x3 convolution from the fused map to the classes.
    """

    def __init__(self, backbone: Backbone, fpn: FPN, classify: HearingConv2d) -> None:
        super().__init__()
        self.backbone = backbone
        self.fpn = fpn
        self.classify = classify

    @property
    def listens_to(self) -> frozenset[Layer]:
        """The layers whose maps its pyramid hears."""
        return self.fpn.listens_to

    def compile_with(self, compiling: Compiling) -> None:
        """Have torch.compile make code for the backbone."""
        self.backbone.network = compiling.of(self.backbone.network)

    def folded(self, bands: int) -> "Branch":
        """The branch that gives the same in fewer steps while it does not learn; shares weights."""
        return Branch(folded(self.backbone, bands), self.fpn, self.classify)

    def offered(self, pixels: Tensor, listen: Listen | None = None) -> BranchFeatures:
        """`forward`'s features alone, without the fused map and the logits."""
        own = self.backbone(pixels)
        return self.fpn.layers(own, None if listen is None else listen(own))

    def forward(self, pixels: Tensor, listen: Listen | None = None) -> BranchOutput:
        """Run the branch on normalised pixels (N, bands, H, W)."""
        own = self.backbone(pixels)
        features, fused = self.fpn(own, None if listen is None else listen(own))
        return BranchOutput(features, fused, self.classify(fused))
