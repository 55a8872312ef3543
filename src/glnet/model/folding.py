"""Batch normalisation of a trained backbone, folded into the convolutions before it."""

import logging

import torch
from torch.fx.experimental.optimization import fuse

from glnet.model.backbone import TRIAL_SIZE, Backbone
from glnet.model.moving import moved

TOLERANCE = 1e-3
"""Of the largest number of a map: far above rounding, far below another network."""


def folded(backbone: Backbone, bands: int) -> Backbone:
    """The same backbone for prediction with fewer steps, up to rounding; the original stays.

    A batch normalisation that follows no plain convolution stays, and a network that torch.fx
    cannot follow stays whole: both only cost time.
    """
    weight = next(backbone.parameters())
    plain = moved(backbone, weight.device, weight.dtype).eval()
    try:
        other = Backbone(fuse(plain.network))
        if _agree(plain, other, bands):
            return other
    except Exception as error:
        logging.getLogger(__name__).debug("batch normalisation stays unfolded: %s", error)
    return plain


@torch.no_grad()
def _agree(one: Backbone, other: Backbone, bands: int) -> bool:
    """Whether both give the same maps of noise, of a size that torch.fx has not seen."""
    weight = next(one.parameters())
    if weight.is_meta:  # there is nothing to compare
        return True
    noise = torch.rand((1, bands, *TRIAL_SIZE), generator=torch.Generator().manual_seed(0))
    noise = noise.to(weight.device, weight.dtype)
    return all(
        bool((a - b).abs().max() <= TOLERANCE * a.abs().max())
        for a, b in zip(one(noise), other(noise), strict=True)
    )
