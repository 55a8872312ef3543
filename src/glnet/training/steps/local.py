"""The second stage: the local branch and the aggregation learn (sections 3.2.2 and 3.2.3)."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from glnet.model.branch import BranchOutput
from glnet.model.exchange import Exchange, PatchIndex
from glnet.model.features import BranchFeatures
from glnet.model.glnet import GLNet, required
from glnet.model.resampling import Sampling
from glnet.training.losses import feature_distances
from glnet.training.portions import Opening, Portion
from glnet.training.steps.step import (
    Backward,
    Losses,
    Objective,
    Seen,
    auxiliary_losses,
    auxiliary_names,
    descended,
    opened,
    see_context,
)


class LocalStep:
    """The local branch and the aggregation learn; the context branch is frozen.

    Args:
        network: With a local branch.
        sampling: Of the maps.
        objective: What is minimised.

    Raises:
        ValueError: If the network has no local branch.
    """

    def __init__(self, network: GLNet, sampling: Sampling, objective: Objective) -> None:
        self.network = network
        self._local = required(network.local, "local branch")
        self._sampling = sampling
        self._objective = objective
        self._image: _Image | None = None
        self.trained: Sequence[nn.Module] = [
            part for part in (network.local, network.aggregation) if part is not None
        ]
        self.names: Sequence[str] = ["local", *auxiliary_names(self._local)]
        if network.aggregation is not None:
            self.names = ["aggregated", "local"]
            if objective.loss.regularization > 0:
                self.names = [*self.names, "regularization"]

    def see(self, portion: Portion, backward: Backward | None) -> Seen:
        """Focal losses of the local and the aggregated answer, and the regularisation."""
        if portion.pixels is None or portion.labels is None:
            return Seen({})
        if portion.opening is not None:
            self._image = self._open(portion, portion.opening)
        image, task = opened(self._image), portion.task
        output = self.network.see_patches(
            portion.pixels, image.features, image.exchange, task.places
        )
        losses, logits = self._losses(output, portion.labels, image, task.places)
        share = {name: of * task.look.share for name, of in losses.items()}
        return descended(share, backward, logits, portion.labels)

    def _open(self, portion: Portion, opening: Opening) -> "_Image":
        look = portion.task.look
        return _Image(
            Exchange(look.grid, self._sampling),
            see_context(self.network, opening),
            self._objective.total(opening.counts),
            len(look.learn),
        )

    def _losses(
        self,
        output: BranchOutput,
        labels: Tensor,
        image: "_Image",
        places: Sequence[PatchIndex],
    ) -> tuple[Losses, Tensor]:
        loss, focal = (
            self._objective.loss,
            partial(self._objective.focal, labels=labels, total=image.total),
        )
        local = focal(output.logits)
        if self.network.aggregation is None or image.context is None:
            auxiliary = auxiliary_losses(self._local, output, focal)
            return {"local": local, **auxiliary}, output.logits
        heard = image.exchange.hear(image.context.fused, output.fused.shape, places)
        logits = self.network.aggregation(output.fused, heard)
        losses = {
            "aggregated": focal(logits),
            "local": loss.auxiliary * local,
        }
        if loss.regularization > 0:
            norm = loss.regularization_norm
            distances = feature_distances(output.fused, heard.resampled(), norm)
            losses["regularization"] = loss.regularization * distances.sum() / image.patches
        return losses, logits


class _Image(NamedTuple):
    """What a local step remembers of the image at hand."""

    exchange: Exchange
    context: BranchOutput | None
    total: Tensor
    patches: int

    @property
    def features(self) -> BranchFeatures | None:
        """What the context branch offers, where there is one."""
        return None if self.context is None else self.context.features
