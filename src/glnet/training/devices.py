"""Several devices: Lightning starts the processes, gradients are added up once per step.

A step's images are dealt out to the processes, and an image has its own number of patches, so that
processes differ in how often they run backwards. Wrapping the network as torch's DDP does would
want them equal; adding the gradients at the step's end does not, and is exact for any shares.
"""

from collections.abc import Iterable

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn

BUCKET = 2**22
"""So many numbers are sent at once: one message per parameter would be slow."""


class SummedGradients(DDPStrategy):
    """Lightning's DDP without torch's wrapper."""

    def configure_ddp(self) -> None:
        """Leave the network as it is."""


def summed(value: Tensor) -> Tensor:
    """The sum of a tensor over all processes; itself where there is only one."""
    if is_alone():
        return value
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total


def add_gradients(modules: Iterable[nn.Module]) -> None:
    """Add up the gradients of all processes, in a fixed order."""
    if is_alone():
        return
    parameters = [of for module in modules for of in module.parameters() if of.requires_grad]
    for of in parameters:
        if of.grad is None:
            of.grad = torch.zeros_like(of)
    bucket: list[Tensor] = []
    for of in parameters:
        assert of.grad is not None
        bucket.append(of.grad)
        if sum(grad.numel() for grad in bucket) >= BUCKET:
            _add_up(bucket)
            bucket = []
    _add_up(bucket)


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return getattr(rank_zero_only, "rank", 0) in (0, None)


def is_alone() -> bool:
    """Whether this is the only process."""
    return not (torch.distributed.is_available() and torch.distributed.is_initialized())


def _add_up(gradients: list[Tensor]) -> None:
    if not gradients:
        return
    flat = summed(torch.cat([of.flatten() for of in gradients]))
    totals = torch.split(flat, [of.numel() for of in gradients])
    for of, total in zip(gradients, totals, strict=True):
        of.copy_(total.view_as(of))
