"""A branch: backbone, pyramid, classifier. Context, local and refined branch are three of these."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from glnet.model.backbone import Backbone
from glnet.model.features import BranchFeatures, HeardFeatures, Levels
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
    """

    features: BranchFeatures
    fused: Tensor
    logits: Tensor


class Branch(nn.Module):
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

    def forward(self, pixels: Tensor, listen: Listen | None = None) -> BranchOutput:
        """Run the branch on normalised pixels (N, bands, H, W)."""
        own = self.backbone(pixels)
        features, fused = self.fpn(own, None if listen is None else listen(own))
        return BranchOutput(features, fused, self.classify(fused))
