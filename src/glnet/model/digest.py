"""A checksum of a model, the same for a model in memory and for the folder that it was saved to."""

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

from glnet.model.checkpoint import Model, StoredModel


def digest_of(model: Model | StoredModel) -> str:
    """SHA-256 of the configuration and of all weights; one tensor at a time is in memory.

    Raises:
        CheckpointError: If weights on disk cannot be read.
    """
    known = model.model if isinstance(model, StoredModel) else model
    found = hashlib.sha256(repr(known.config).encode())
    for name, weights in _weights(model):
        found.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
        flat = weights.detach().cpu().contiguous().reshape(-1)
        found.update(flat.view(torch.uint8).numpy().data)
    return found.hexdigest()


def _weights(model: Model | StoredModel) -> Iterable[tuple[str, Tensor]]:
    if isinstance(model, StoredModel):
        return model.weights()
    return sorted(model.network.state_dict().items())
