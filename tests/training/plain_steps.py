"""The stages' losses written down plainly: all patches at once, one graph through everything.

Nothing here is taken from `glnet.training` but the weights of the losses: means are means over
all pixels that count, and the merge is that of all patches in one go.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from glnet.geometry import PatchGrid
from glnet.model.exchange import Exchange, PatchIndex
from glnet.model.glnet import GLNet
from glnet.model.merging import Merger
from glnet.training.config import LossConfig


class Seen(NamedTuple):
    """An image with all that is answered for in it."""

    thumbnail: Tensor  # (bands, g, g)
    thumbnail_labels: Tensor  # (g, g)
    grid: PatchGrid
    places: list[PatchIndex]
    pixels: Tensor  # (P, bands, p, p)
    labels: Tensor  # (P, p, p)
    every: Tensor  # (all patches of the grid, bands, p, p)


def plain_loss(
    name: str, network: GLNet, images: list[Seen], loss: LossConfig, weights: Tensor | None
) -> Tensor:
    """The loss of a step: the mean over its images."""
    losses = {"context": _context, "local": _local, "refined": _refined}
    each = [losses[name](network, image, loss, weights) for image in images]
    return torch.stack(each).mean()


def _context(network: GLNet, image: Seen, loss: LossConfig, weights: Tensor | None) -> Tensor:
    logits = _there(network.context)(image.thumbnail[None]).logits
    return focal_mean(logits, image.thumbnail_labels[None], loss.gamma, weights)


def _local(network: GLNet, image: Seen, loss: LossConfig, weights: Tensor | None) -> Tensor:
    exchange = Exchange(image.grid, "exact")
    context = _there(network.context)(image.thumbnail[None])
    output = network.see_patches(image.pixels, context.features, exchange, image.places)
    heard = exchange.hear(context.fused, output.fused.shape, image.places)
    logits = _there(network.aggregation)(output.fused, heard)
    difference = (output.fused - heard.resampled().detach()).flatten(1)
    if loss.regularization_norm == "euclidean":
        distance = (difference.square().sum(1).sqrt() / difference.shape[1] ** 0.5).mean()
    else:
        distance = difference.square().mean()
    total: Tensor = (
        focal_mean(logits, image.labels, loss.gamma, weights)
        + loss.auxiliary * focal_mean(output.logits, image.labels, loss.gamma, weights)
        + loss.regularization * distance
    )
    return total


def _refined(network: GLNet, image: Seen, loss: LossConfig, weights: Tensor | None) -> Tensor:
    exchange = Exchange(image.grid, "exact")
    context = _there(network.context)(image.thumbnail[None])
    every = network.see_patches(image.every, context.features, exchange, image.grid.places)
    merger = Merger(exchange, context.features)
    merger.add(every.features, image.grid.places)
    refined = network.see_again(image.thumbnail[None], merger.merged(torch.float32))
    fused = torch.stack([every.fused[image.grid.places.index(place)] for place in image.places])
    heard = exchange.hear(refined.fused, fused.shape, image.places)
    logits = _there(network.aggregation)(fused, heard)
    labels = image.thumbnail_labels[None]
    return focal_mean(logits, image.labels, loss.gamma, weights) + loss.auxiliary * focal_mean(
        refined.logits, labels, loss.gamma, weights
    )


def _there(part: nn.Module | None) -> nn.Module:
    assert part is not None
    return part


def focal_mean(logits: Tensor, labels: Tensor, gamma: float, weights: Tensor | None) -> Tensor:
    """The weighted mean of ``(1 - p)^gamma * -log p`` over all pixels that count."""
    enlarged = torch.nn.functional.interpolate(logits, labels.shape[-2:], mode="bilinear")
    scores = enlarged.permute(0, 2, 3, 1)[labels < logits.shape[1]]
    truth = labels[labels < logits.shape[1]].long()
    log_p = scores.log_softmax(-1).gather(1, truth[:, None])[:, 0]
    each = (1 - log_p.exp()) ** gamma * -log_p
    of = torch.ones(logits.shape[1]) if weights is None else weights
    return (of[truth] * each).sum() / of[truth].sum()
