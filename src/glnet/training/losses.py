"""The paper's losses (section 3.2.3 and 4.1)."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from glnet.data import IGNORE_INDEX
from glnet.training.config import Regularization


def focal_loss(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Mean of ``(1 - p)^gamma * -log p`` over the labelled pixels, p of the true class.

    Args:
        logits: (N, K, h, w) at any size; brought to the labels' size bilinearly.
        labels: (N, H, W) class indices, `IGNORE_INDEX` where nothing is to be learnt.
        gamma: 0 is cross-entropy (Lin et al.; the paper uses 6).

    Returns:
        A scalar; 0 where no pixel is labelled.
    """
    if logits.shape[-2:] != labels.shape[-2:]:
        logits = functional.interpolate(logits, labels.shape[-2:], mode="bilinear")
    labels = labels.long()
    entropy = functional.cross_entropy(
        logits.float(), labels, ignore_index=IGNORE_INDEX, reduction="none"
    )
    # Never 0, where a gamma between 0 and 1 has no gradient.
    doubt = (1 - torch.exp(-entropy)).clamp_min(torch.finfo(entropy.dtype).eps)
    weighted = doubt**gamma * entropy
    return weighted.sum() / (labels != IGNORE_INDEX).sum().clamp_min(1)


def feature_distance(local: Tensor, heard: Tensor, norm: Regularization) -> Tensor:
    """How far the local fused map (N, C, h, w) is from the global one; moves only the local one.

    See `Regularization` for the two norms.
    """
    difference = local.float() - heard.detach().float()
    if norm == "mean_squared":
        return difference.square().mean()
    lengths: Tensor = torch.linalg.vector_norm(difference.flatten(1), dim=1)
    return lengths.mean() / math.sqrt(difference[0].numel())
