"""The paper's losses (section 3.2.3 and 4.1), in parts that add up.

A step sees its patches a few at a time, so means are written as sums over a portion divided by the
whole image's total: the gradient is that of the mean, for any portions.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from glnet.data import IGNORE_INDEX
from glnet.training.choices import Regularization


def focal_sums(
    logits: Tensor, labels: Tensor, gamma: float, class_weights: Tensor | None = None
) -> Tensor:
    """Sum of ``w (1 - p)^gamma * -log p`` over the labelled pixels of every item.

    Args:
        logits: (N, K, h, w) at any size; brought to the labels' size bilinearly.
        labels: (N, H, W) class indices, `IGNORE_INDEX` where nothing is to be learnt.
        gamma: 0 is cross-entropy (Lin et al.; the paper uses 6).
        class_weights: The weight w (K,) of every true class; 1 by default.

    Returns:
        (N,), at least in float32; p is the probability of the true class.
    """
    if logits.shape[-2:] != labels.shape[-2:]:
        logits = functional.interpolate(logits, labels.shape[-2:], mode="bilinear")
    labels = labels.long()
    entropy = functional.cross_entropy(
        precise(logits), labels, ignore_index=IGNORE_INDEX, reduction="none"
    )
    # Never 0, where a gamma between 0 and 1 has no gradient.
    doubt = (1 - torch.exp(-entropy)).clamp_min(torch.finfo(entropy.dtype).eps)
    weighted = doubt**gamma * entropy
    if class_weights is not None:
        # Ignored pixels have no entropy; any class will do for them.
        weighted = weighted * class_weights[labels.clamp_max(len(class_weights) - 1)]
    return weighted.flatten(1).sum(dim=1)


def focal_total(counts: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """What sums are divided by to be means: the pixels (..., K), weighted as their losses are."""
    total = counts if class_weights is None else counts * class_weights
    return total.sum(dim=-1).float().clamp_min(torch.finfo(torch.float32).tiny)


def label_counts(labels: Tensor, num_classes: int) -> Tensor:
    """How many pixels (N, K) of every class the labels (N, H, W) have."""
    rows = [torch.bincount(of.flatten(), minlength=IGNORE_INDEX + 1) for of in labels]
    return torch.stack(rows)[:, :num_classes]


def balanced_weights(counts: Tensor) -> Tensor:
    """Weights (K,) against unequal shares: the mean share over a class's own, at most 10.

    Classes that never occur weigh 1: they only matter in other data.
    """
    present = counts > 0
    shares = counts.double() / counts.sum().clamp_min(1)
    mean = shares[present].mean() if present.any() else torch.ones((), dtype=torch.float64)
    weights = (mean / shares.clamp_min(torch.finfo(torch.float64).tiny)).clamp_max(LARGEST_WEIGHT)
    return torch.where(present, weights, torch.ones_like(weights)).float()


LARGEST_WEIGHT = 10.0
"""A class of a few pixels must not outweigh all others."""


def feature_distances(local: Tensor, heard: Tensor, norm: Regularization) -> Tensor:
    """How far local fused maps (N, C, h, w) are from the global one: (N,); moves only the local.

    See `Regularization` for the two norms.
    """
    difference = precise(local) - precise(heard.detach())
    if norm == "mean_squared":
        return difference.square().flatten(1).mean(dim=1)
    lengths: Tensor = torch.linalg.vector_norm(difference.flatten(1), dim=1)
    return lengths / math.sqrt(difference[0].numel())


def precise(of: Tensor) -> Tensor:
    """The same in float32, or in float64 if it is: half precision is not for adding up."""
    return of.to(torch.promote_types(of.dtype, torch.float32))
