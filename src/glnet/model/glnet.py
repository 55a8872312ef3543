"""GLNet: the paper's Figure 4, one attribute per box.

The network holds weights only. What runs over one raster is in `exchange.py` (its patch grid) and
`merging.py` (merged maps); the order of the steps is in `inference/` for prediction and `training/`
for training.
"""

from collections.abc import Sequence
from typing import TypeVar, cast

from torch import Tensor, nn

from glnet.model.branch import AnyBranch, Branch, BranchOutput, Listen
from glnet.model.exchange import Exchange, PatchIndex
from glnet.model.features import BranchFeatures, HeardFeatures
from glnet.model.sharing import HearingConv2d

T = TypeVar("T")


STRIDE = 4
"""Of the finest level of the pyramid, and so of the scores."""


class GLNet(nn.Module):
    """Up to four branches and the aggregation layer; what a configuration lacks is None.

    Args:
        context: Sees the thumbnail and listens to nobody (the published ``fpn_global``).
        local: Sees patches; hears the context branch where its pyramid listens.
        refined: Sees the thumbnail and hears the merged local maps (bidirectional sharing).
        aggregation: 3x3 convolution on local and global fused maps (section 3.2.3).
        coarse: Sees the thumbnail of the whole raster, and says where the others look (section
            3.3); it shares nothing with them.
        stride: Pixels of a patch, or the thumbnail, along each side of one of its scores.
    """

    def __init__(
        self,
        context: AnyBranch | None,
        local: AnyBranch | None,
        refined: AnyBranch | None,
        aggregation: HearingConv2d | None,
        coarse: AnyBranch | None = None,
        *,
        stride: int = STRIDE,
    ) -> None:
        super().__init__()
        # A network in a branch's place has no pyramid; only sharing and the collapse ask for it.
        self.context = cast(Branch | None, context)
        self.local = cast(Branch | None, local)
        self.refined = cast(Branch | None, refined)
        self.aggregation = aggregation
        self.coarse = cast(Branch | None, coarse)
        self.stride = stride

    def see_patches(
        self,
        pixels: Tensor,
        context: BranchFeatures | None,
        exchange: Exchange,
        patches: Sequence[PatchIndex],
    ) -> BranchOutput:
        """Run the local branch on patches (N, bands, h, w), hearing the context where it listens.

        Raises:
            ValueError: If the network has no local branch, or the branch would hear a context
                branch that was not run.
        """
        local = required(self.local, "local branch")
        output: BranchOutput = local(pixels, self._listen(context, exchange, patches))
        return output

    def offer_patches(
        self,
        pixels: Tensor,
        context: BranchFeatures | None,
        exchange: Exchange,
        patches: Sequence[PatchIndex],
    ) -> BranchFeatures:
        """`see_patches`' features alone, which is what is merged: no fused map and no logits.

        Raises:
            ValueError: As `see_patches`.
        """
        local = required(self.local, "local branch")
        return local.offered(pixels, self._listen(context, exchange, patches))

    def _listen(
        self, context: BranchFeatures | None, exchange: Exchange, patches: Sequence[PatchIndex]
    ) -> Listen | None:
        listens = self.local is not None and bool(self.local.listens_to)
        return exchange.listener(context, patches) if context is not None and listens else None

    def see_again(self, thumbnail: Tensor, merged: HeardFeatures) -> BranchOutput:
        """Run the refined branch on the thumbnail, hearing what the patches showed.

        Raises:
            ValueError: If the network has no refined branch.
        """
        if self.refined is None:
            raise ValueError("this network has no refined branch")
        output: BranchOutput = self.refined(thumbnail, lambda _: merged)
        return output


def required(part: T | None, name: str) -> T:
    """A part that what is asked for cannot do without.

    Raises:
        ValueError: If there is none.
    """
    if part is None:
        raise ValueError(f"this needs a network that has its {name}; this one has not")
    return part
