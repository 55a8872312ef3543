"""The second stage's step written down plainly: bring, concatenate, convolve.

Every map that the local branch hears is cropped and enlarged to the size of the branch's own map,
the two are concatenated, and one ordinary convolution runs over both (section 3.2.2). Weights,
backbones and the context branch, which hears nobody, are those of a `GLNet`; everything between
the backbone's maps and the losses is written here again.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from glnet.geometry import Size, Window
from glnet.model.branch import BranchOutput
from glnet.model.features import BranchFeatures, Levels
from glnet.model.fpn import FPN
from glnet.model.glnet import GLNet, required
from glnet.model.sharing import HearingConv2d
from glnet.training.config import LossConfig
from glnet.training.portions import Portion
from glnet.training.steps import Backward, Losses, Seen
from glnet.training.steps.step import opened

Crop = Callable[[Tensor, Tensor], Tensor]
"""Brings a context map (1, C, S, T) to the frame and size of a local map (P, ?, H, W)."""

Context = Literal["once", "every portion", "with its graph"]


class PlainLocalStep:
    """The same as `LocalStep` with deep sharing, aggregation and the Euclidean regularisation.

    Args:
        network: With context, local branch and aggregation.
        loss: Weights.
        context: Whether the frozen context branch runs once per image, with every portion, or with
            every portion and a graph, so that its gradients are computed and thrown away.
    """

    def __init__(self, network: GLNet, loss: LossConfig, context: Context = "once") -> None:
        self.network = network
        self.names: Sequence[str] = ["aggregated", "local", "regularization"]
        self.trained: Sequence[nn.Module] = [
            required(network.local, "local branch"),
            required(network.aggregation, "aggregation layer"),
        ]
        self._loss = loss
        self._keeps_context = context == "once"
        self._has_graph = context == "with its graph"
        self._image: _Image | None = None

    def see(self, portion: Portion, backward: Backward | None) -> Seen:
        """Run a portion of patches, and differentiate its losses if that is asked for."""
        if portion.opening is not None:
            thumbnail = required(portion.opening.thumbnail, "thumbnail").pixels[None]
            total = portion.opening.counts.sum()
            context = self._context(thumbnail) if self._keeps_context else None
            self._image = _Image(thumbnail, context, total)
        image = opened(self._image)
        context = image.context or self._context(image.thumbnail)
        losses = self._losses(portion, context, image.total)
        if backward is not None:
            backward(torch.stack(list(losses.values())).sum())
        return Seen({name: of.detach() for name, of in losses.items()})

    def _context(self, thumbnail: Tensor) -> BranchOutput:
        branch = required(self.network.context, "context branch")
        branch.requires_grad_(self._has_graph)
        with torch.set_grad_enabled(self._has_graph):
            output: BranchOutput = branch(thumbnail)
        return output

    def _losses(self, portion: Portion, context: BranchOutput, total: Tensor) -> Losses:
        local, aggregation = required(self.network.local, "local"), self.network.aggregation
        pixels, labels = required(portion.pixels, "pixels"), required(portion.labels, "labels")
        look = portion.task.look
        crop = cropping([look.grid.window(*of) for of in portion.task.places], look.grid.raster)
        _, fused = pyramid(local.fpn, local.backbone(pixels), context.features, crop)
        heard = crop(context.fused, fused)
        logits = convolve(required(aggregation, "aggregation"), fused, heard)
        gamma = self._loss.gamma
        distances = (fused - heard.detach()).square().flatten(1).mean(1).sqrt()
        return {
            "aggregated": look.share * focal_sum(logits, labels, gamma) / total,
            "local": look.share
            * self._loss.auxiliary
            * focal_sum(convolve(local.classify, fused), labels, gamma)
            / total,
            "regularization": look.share
            * self._loss.regularization
            * distances.sum()
            / len(look.learn),
        }


class _Image(NamedTuple):
    thumbnail: Tensor
    context: BranchOutput | None
    total: Tensor


def pyramid(
    fpn: FPN, own: Levels, context: BranchFeatures | None, crop: Crop
) -> tuple[BranchFeatures, Tensor]:
    """From C2..C5 to all maps and the fused one (P, 4 refined_width, H/4, W/4).

    Concatenates at every layer; layers that nothing is heard at stand alone.
    """
    other = context or NOBODY
    lateral = _layer(fpn.lateral, own, other.backbone, crop)
    top_down = [lateral[-1]]
    for of in reversed(lateral[:-1]):
        top_down.insert(0, of + to_size(top_down[0], of))
    smooth = _layer(fpn.smooth, top_down, other.top_down, crop)
    refined = _layer(fpn.refine, smooth, other.smooth, crop)
    heard = [crop(of, like) for of, like in zip(other.refined, refined, strict=False)]
    every = [to_size(of, refined[0]) for of in (*refined, *heard)]
    fused = torch.cat(every, dim=1) if fpn.fuse is None else convolve(fpn.fuse, *every)
    return BranchFeatures(own, tuple(top_down), tuple(smooth), tuple(refined)), fused


NOBODY = BranchFeatures((), (), (), ())
"""What is heard of nobody."""


def _layer(
    layers: Iterable[nn.Module], own: Sequence[Tensor], other: Levels, crop: Crop
) -> list[Tensor]:
    pairs = zip(layers, own, strict=True)
    if not other:
        return [convolve(layer, of) for layer, of in pairs]
    heard = zip(pairs, other, strict=True)
    return [convolve(layer, of, crop(context, of)) for (layer, of), context in heard]


def convolve(layer: nn.Module, *maps: Tensor) -> Tensor:
    """One convolution over the concatenated maps, which are of one size."""
    assert isinstance(layer, HearingConv2d)
    weight = layer.weight
    together = torch.cat(maps, dim=1) if len(maps) > 1 else maps[0]
    return functional.conv2d(together, weight, layer.bias, padding=weight.shape[-1] // 2)


def to_size(of: Tensor, like: Tensor) -> Tensor:
    """Bilinearly to the size of another map."""
    if of.shape[-2:] == like.shape[-2:]:
        return of
    return functional.interpolate(of, like.shape[-2:], mode="bilinear")


def cropping(windows: Sequence[Window], raster: Size) -> Crop:
    """Sample context maps at the true places of the cells of these patches (`sampling: exact`).

    Places are never rounded to under float32: they would be several cells off.
    """
    known: dict[tuple[object, ...], Tensor] = {}
    scales = torch.tensor(
        [
            [
                [at.size.width / raster.width, 0, (at.column + at.column_stop) / raster.width - 1],
                [0, at.size.height / raster.height, (at.row + at.row_stop) / raster.height - 1],
            ]
            for at in windows
        ],
        dtype=torch.float64,
    )

    def places(size: torch.Size, dtype: torch.dtype, device: torch.device) -> Tensor:
        key = (size, dtype, device)
        if key not in known:
            grid = functional.affine_grid(
                scales, [len(windows), 1, *size[-2:]], align_corners=False
            )
            known[key] = grid.to(device, dtype)
        return known[key]

    def crop(of: Tensor, like: Tensor) -> Tensor:
        dtype = torch.promote_types(of.dtype, torch.float32)
        every = of.to(dtype).expand(len(windows), -1, -1, -1)
        at = places(like.shape[-2:], dtype, of.device)
        sampled = functional.grid_sample(every, at, padding_mode="border", align_corners=False)
        return sampled.to(of.dtype)

    return crop


def focal_sum(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """The sum of ``(1 - p)^gamma * -log p`` over all pixels, logits enlarged to the labels."""
    enlarged = functional.interpolate(logits, labels.shape[-2:], mode="bilinear")
    log_p = enlarged.log_softmax(1).gather(1, labels.long()[:, None])
    return ((1 - log_p.exp()) ** gamma * -log_p).sum()
