"""The third stage: the global branch that hears all patches learns, with the aggregation."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from glnet.model.branch import BranchOutput
from glnet.model.exchange import Exchange, PatchIndex
from glnet.model.features import BranchFeatures
from glnet.model.glnet import GLNet, required
from glnet.model.merging import Merger
from glnet.model.resampling import Sampling
from glnet.training.images import Thumbnail
from glnet.training.losses import label_counts, precise
from glnet.training.portions import Opening, Portion
from glnet.training.steps.step import (
    Backward,
    Objective,
    Seen,
    descended,
    opened,
    see_context,
)


class RefinedStep:
    """The global branch that hears all patches learns, with the aggregation; the rest is frozen.

    Every patch of an image is run once without a graph and merged; the refined branch runs once.
    What the patches that train say about its last map adds up portion by portion, and goes through
    the branch once, at the end. The patches' own fused maps are kept only where all that train run
    at once; else they are run again: memory does not grow with the patches of an image.

    Args:
        network: With all three branches and an aggregation layer.
        sampling: Of the maps.
        objective: What is minimised.

    Raises:
        ValueError: If the network lacks a branch.
    """

    def __init__(self, network: GLNet, sampling: Sampling, objective: Objective) -> None:
        self.network = network
        self._refined = required(network.refined, "refined branch")
        self._aggregation = required(network.aggregation, "aggregation layer")
        required(network.context, "context branch")
        self._local = required(network.local, "local branch")
        self._folded: GLNet | None = None
        self._sampling = sampling
        self._objective = objective
        self._merging: _Merging | None = None
        self._merged: _Merged | None = None
        self.trained: Sequence[nn.Module] = [self._refined, self._aggregation]
        self.names: Sequence[str] = ["aggregated", "global"]

    def see(self, portion: Portion, backward: Backward | None) -> Seen:
        """Focal losses of the refined global answer and of the aggregated one."""
        if portion.opening is not None:
            self._merging, self._merged = self._open(portion, portion.opening), None
        if portion.task.purpose == "merge":
            self._merge(portion, opened(self._merging))
            return Seen({})
        if portion.labels is None:
            return Seen({})
        if self._merged is None:
            self._merged = self._refine(opened(self._merging))
        return self._answer(portion, portion.labels, backward)

    def _open(self, portion: Portion, opening: Opening) -> "_Merging":
        look = portion.task.look
        exchange = Exchange(look.grid, self._sampling)
        context = required(see_context(self.network, opening), "context branch")
        merger = Merger(exchange, context.features, look.merge)
        return _Merging(exchange, context, merger, opening, {})

    def _merge(self, portion: Portion, image: "_Merging") -> None:
        task = portion.task
        kept = set(task.look.learn).intersection(task.places) if task.keeps else set()
        if not kept:
            image.merger.add(self._offered(portion, image), task.places)
            return
        output = self._seen(portion, image)
        image.merger.add(output.features, task.places)
        fused = zip(task.places, output.fused, strict=True)
        # Copied: a part of the batch's map would hold all of it.
        image.fused.update((place, of.clone()) for place, of in fused if place in kept)

    def _refine(self, image: "_Merging") -> "_Merged":
        thumbnail = image.thumbnail.pixels[None]
        refined = self.network.see_again(thumbnail, image.merger.merged(thumbnail.dtype))
        return _Merged(refined, precise(refined.fused.detach()).requires_grad_())

    def _answer(self, portion: Portion, labels: Tensor, backward: Backward | None) -> Seen:
        image, merged, task = opened(self._merging), opened(self._merged), portion.task
        fused = self._fused(portion, image)
        heard = image.exchange.hear(merged.leaf, fused.shape, task.places)
        logits = self._aggregation(fused, heard)
        total = self._objective.total(image.opening.counts)
        loss = task.look.share * self._objective.focal(logits, labels, total)
        seen = descended({"aggregated": loss}, backward, logits, labels)
        if not task.closes:
            return seen
        closing = task.look.share * self._global_loss(merged, image)
        if backward is not None:
            backward(closing + merged.gathered(backward.scale))
        self._merging = self._merged = None
        return seen._replace(losses={**seen.losses, "global": closing.detach()})

    def _fused(self, portion: Portion, image: "_Merging") -> Tensor:
        """The fused maps of a portion's patches: those kept, or run again."""
        if portion.pixels is None:
            return torch.stack([image.fused[place] for place in portion.task.places])
        return self._seen(portion, image).fused

    @torch.no_grad()
    def _offered(self, portion: Portion, image: "_Merging") -> BranchFeatures:
        """What the frozen local branch offers of a portion's patches."""
        pixels = required(portion.pixels, "pixels")
        features, exchange, places = image.context.features, image.exchange, portion.task.places
        return self._frozen(pixels).offer_patches(pixels, features, exchange, places)

    @torch.no_grad()
    def _seen(self, portion: Portion, image: "_Merging") -> BranchOutput:
        """All that the frozen local branch says of a portion's patches."""
        pixels = required(portion.pixels, "pixels")
        features, exchange, places = image.context.features, image.exchange, portion.task.places
        return self._frozen(pixels).see_patches(pixels, features, exchange, places)

    def _frozen(self, pixels: Tensor) -> GLNet:
        """The frozen branches, in fewer steps; made at the first step, when weights are there."""
        if self._folded is None:
            local = self._local.folded(pixels.shape[1])
            self._folded = GLNet(self.network.context, local, None, None)
        return self._folded

    def _global_loss(self, merged: "_Merged", image: "_Merging") -> Tensor:
        logits, labels = merged.refined.logits, image.thumbnail.labels[None]
        total = self._objective.total(label_counts(labels, logits.shape[1]))
        return self._objective.loss.auxiliary * self._objective.focal(logits, labels, total)


class _Merging(NamedTuple):
    """What a refined step remembers of the image at hand, while patches come in and after."""

    exchange: Exchange
    context: BranchOutput
    merger: Merger
    opening: Opening
    fused: dict[PatchIndex, Tensor]

    @property
    def thumbnail(self) -> Thumbnail:
        """The whole image."""
        return cast(Thumbnail, self.opening.thumbnail)


class _Merged(NamedTuple):
    """The refined branch's output, and its fused map as a leaf that gathers gradients."""

    refined: BranchOutput
    leaf: Tensor

    def gathered(self, scale: float) -> Tensor:
        """A scalar whose gradient in the branch is what the leaf has gathered, unscaled."""
        if self.leaf.grad is None:
            return self.refined.fused.new_zeros(())
        return (precise(self.refined.fused) * (self.leaf.grad / scale)).sum()
