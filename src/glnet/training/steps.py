"""The three stages' steps: which branch learns, on what it sees, towards which loss.

A stage is named after the branch that trains. Frozen branches run without graphs; the context of
an image is computed once per image (sections 3.2.2 and 3.2.3).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from glnet.geometry import PatchGrid
from glnet.model.branch import BranchOutput
from glnet.model.exchange import Exchange, Merger, PatchIndex
from glnet.model.glnet import GLNet
from glnet.model.resampling import Sampling
from glnet.training.config import LossConfig
from glnet.training.losses import feature_distance, focal_loss
from glnet.training.samples import Look, Thumbnail

Losses = dict[str, Tensor]
"""Weighted losses by name; their sum is minimised."""


class Step(Protocol):
    """What a stage does with a batch."""

    network: GLNet
    trained: Sequence[nn.Module]

    def parts(self, batch: Any) -> list[Any]:  # noqa: ANN401
        """What is differentiated at once."""
        ...

    def losses(self, part: Any) -> Losses:  # noqa: ANN401
        """The weighted losses of a part."""
        ...

    def answer(self, part: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        """Logits (N, K, h, w) and labels (N, H, W), to count on the validation split."""
        ...


class ContextStep:
    """The global branch alone learns to segment thumbnails.

    Args:
        network: With a context branch.
        loss: Weights.

    Raises:
        ValueError: If the network has no context branch.
    """

    def __init__(self, network: GLNet, loss: LossConfig) -> None:
        self.network = network
        self._context = _required(network.context, "context branch")
        self._loss = loss
        self.trained: Sequence[nn.Module] = [self._context]

    def parts(self, batch: Thumbnail) -> list[Thumbnail]:
        """The whole batch at once: thumbnails are small and of one size."""
        return [batch]

    def losses(self, part: Thumbnail) -> Losses:
        """The focal loss of the global answer."""
        output = self._context(part.pixels)
        return {"global": focal_loss(output.logits, part.labels, self._loss.gamma)}

    def answer(self, part: Thumbnail) -> tuple[Tensor, Tensor]:
        """The global answer on thumbnails."""
        return self._context(part.pixels).logits, part.labels


class LocalStep:
    """The local branch and the aggregation learn; the context branch is frozen.

    Args:
        network: With a local branch.
        sampling: Of the maps.
        loss: Weights.

    Raises:
        ValueError: If the network has no local branch.
    """

    def __init__(self, network: GLNet, sampling: Sampling, loss: LossConfig) -> None:
        self.network = network
        self._local = _required(network.local, "local branch")
        self._sampling = sampling
        self._loss = loss
        self.trained: Sequence[nn.Module] = [
            part for part in (network.local, network.aggregation) if part is not None
        ]

    def parts(self, batch: list[Look]) -> list[Look]:
        """One image after another: sizes differ, and graphs are large."""
        return batch

    def losses(self, part: Look) -> Losses:
        """Focal losses of the local and the aggregated answer, and the regularisation."""
        output, context, exchange = self._see(part)
        labels, loss = part.patches.labels, self._loss
        local = focal_loss(output.logits, labels, loss.gamma)
        if self.network.aggregation is None or context is None:
            return {"local": local}
        heard = exchange.hear(context.fused, output.fused.shape, part.patches.places)
        logits = self.network.aggregation(output.fused, heard)
        losses = {
            "aggregated": focal_loss(logits, labels, loss.gamma),
            "local": loss.auxiliary * local,
        }
        if loss.regularization > 0:
            distance = feature_distance(output.fused, heard.resampled(), loss.regularization_norm)
            losses["regularization"] = loss.regularization * distance
        return losses

    def answer(self, part: Look) -> tuple[Tensor, Tensor]:
        """The aggregated answer on patches, or the local one where there is no aggregation."""
        output, context, exchange = self._see(part)
        if self.network.aggregation is None or context is None:
            return output.logits, part.patches.labels
        heard = exchange.hear(context.fused, output.fused.shape, part.patches.places)
        return self.network.aggregation(output.fused, heard), part.patches.labels

    def _see(self, look: Look) -> tuple[BranchOutput, BranchOutput | None, Exchange]:
        patches = look.patches
        exchange = Exchange(patches.grid, self._sampling)
        context = see_context(self.network, look.thumbnail)
        features = None if context is None else context.features
        output = self.network.see_patches(patches.pixels, features, exchange, patches.places)
        return output, context, exchange


class RefinedStep:
    """The global branch that hears all patches learns, with the aggregation; the rest is frozen.

    Every patch of an image is run once without a graph and merged; of the patches that train, the
    fused maps are kept: memory grows with those, not with the patches of the image.

    Args:
        network: With all three branches and an aggregation layer.
        sampling: Of the maps.
        loss: Weights.
        patch_batch: Patches that run at once.

    Raises:
        ValueError: If the network lacks a branch.
    """

    def __init__(
        self, network: GLNet, sampling: Sampling, loss: LossConfig, patch_batch: int
    ) -> None:
        self.network = network
        self._refined = _required(network.refined, "refined branch")
        self._aggregation = _required(network.aggregation, "aggregation layer")
        self._sampling = sampling
        self._loss = loss
        self._patch_batch = patch_batch
        self.trained: Sequence[nn.Module] = [self._refined, self._aggregation]

    def parts(self, batch: list[Look]) -> list[Look]:
        """One image after another."""
        return batch

    def losses(self, part: Look) -> Losses:
        """Focal losses of the refined global answer and of the aggregated one."""
        refined, logits = self._see(part)
        gamma = self._loss.gamma
        return {
            "aggregated": focal_loss(logits, part.patches.labels, gamma),
            "global": self._loss.auxiliary
            * focal_loss(refined.logits, part.thumbnail.labels[None], gamma),
        }

    def answer(self, part: Look) -> tuple[Tensor, Tensor]:
        """The aggregated answer on patches."""
        return self._see(part)[1], part.patches.labels

    def _see(self, look: Look) -> tuple[BranchOutput, Tensor]:
        thumbnail, patches = look.thumbnail.pixels[None], look.patches
        exchange = Exchange(patches.grid, self._sampling)
        fused, merger = self._see_all_patches(look, exchange)
        refined = self.network.see_again(thumbnail, merger.merged(thumbnail.dtype))
        heard = exchange.hear(refined.fused, fused.shape, patches.places)
        return refined, self._aggregation(fused, heard)

    def _see_all_patches(self, look: Look, exchange: Exchange) -> tuple[Tensor, Merger]:
        """The fused maps of the patches that train, and all patches merged."""
        context = see_context(self.network, look.thumbnail)
        if context is None:
            raise ValueError("bidirectional sharing needs a context branch")
        merger = Merger(exchange, context.features)
        kept: dict[PatchIndex, Tensor] = {}
        wanted = set(look.patches.places)
        with torch.no_grad():
            for places in self._batches(look.patches.grid):
                windows = [look.patches.grid.window(*place) for place in places]
                pixels = look.image.pixels(windows, look.turn).to(look.thumbnail.pixels.device)
                output = self.network.see_patches(pixels, context.features, exchange, places)
                merger.add(output.features, places)
                kept |= {
                    place: of
                    for place, of in zip(places, output.fused, strict=True)
                    if place in wanted
                }
        return torch.stack([kept[place] for place in look.patches.places]), merger

    def _batches(self, grid: PatchGrid) -> Iterator[list[PatchIndex]]:
        places = grid.places
        for first in range(0, len(places), self._patch_batch):
            yield places[first : first + self._patch_batch]


def see_context(network: GLNet, thumbnail: Thumbnail) -> BranchOutput | None:
    """The frozen context branch on one image's thumbnail, without a graph."""
    if network.context is None:
        return None
    with torch.no_grad():
        output: BranchOutput = network.context(thumbnail.pixels[None])
    return output


def _required(part: Any, name: str) -> Any:  # noqa: ANN401
    if part is None:
        raise ValueError(f"this stage needs a network that has its {name}; this one has not")
    return part
