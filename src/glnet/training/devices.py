"""Several devices: what their processes add up, and what they agree on.

A step's images are dealt out to the processes, and an image has its own number of patches, so that
processes differ in how often they run backwards. Wrapping the network as torch's DDP does would
want them equal; adding the gradients at the step's end does not, and is exact for any shares.

Nothing here is done where there is only one process.
"""

import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn

from glnet.errors import GLNetError, TrainingError

Value = TypeVar("Value")

BUCKET = 2**22
"""So many numbers are sent at once: one message per parameter would be slow."""

BACKEND = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
"""By which library processes talk: about tensors by the device's own, about all else by gloo."""

LOST_WORDS = ("gloo", "Connection closed by peer", "Connection reset by peer", "NCCL error")
"""What the libraries say, in errors of no kind of their own, when a process does not answer."""

GO_ON = "the last checkpoint is whole; go on from it with --resume, on any number of processes"

LOST = (
    "another process of this training was lost, or did not answer within run.timeout_s: it was "
    f"killed, it ran out of memory, or its machine cannot be reached; {GO_ON}"
)


class LostProcessError(TrainingError):
    """Another process does not answer."""


class SaidElsewhereError(TrainingError):
    """The first process has said, or will say, why this one ends."""


class SummedGradients(DDPStrategy):
    """Lightning's DDP without torch's wrapper.

    Args:
        timeout_s: After so many seconds without an answer a process is lost.
    """

    def __init__(self, timeout_s: float) -> None:
        super().__init__(timeout=timedelta(seconds=timeout_s))

    def configure_ddp(self) -> None:
        """Leave the network as it is."""


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return getattr(rank_zero_only, "rank", 0) in (0, None)


def is_alone() -> bool:
    """Whether this is the only process."""
    return not (torch.distributed.is_available() and torch.distributed.is_initialized())


def is_lost(error: BaseException) -> bool:
    """Whether an error says that another process does not answer."""
    if is_alone():
        return False
    if isinstance(error, GLNetError):  # Its words may hold any name of a file.
        return isinstance(error, LostProcessError)
    return isinstance(error, torch.distributed.DistError) or says_lost(str(error))


def says_lost(text: str) -> bool:
    """Whether the words of an error do."""
    return any(of in text for of in LOST_WORDS)


def summed(value: Tensor) -> Tensor:
    """The sum of a tensor over all processes; itself where there is only one."""
    if is_alone():
        return value
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total


def gathered(value: Value) -> list[Value]:
    """What every process has, in their order."""
    if is_alone():
        return [value]
    values = [value] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def from_first(value: Value) -> Value:
    """What the first process has."""
    if is_alone():
        return value
    values = [value]
    torch.distributed.broadcast_object_list(values, src=0)
    return values[0]


def dealt(values: Sequence[Value]) -> Sequence[Value]:
    """This process's share of what all of them do."""
    if is_alone():
        return values
    return values[torch.distributed.get_rank() :: torch.distributed.get_world_size()]


def share_weights(module: nn.Module) -> None:
    """Take the weights and statistics that the first process has."""
    if is_alone():
        return
    for of in module.state_dict().values():
        torch.distributed.broadcast(of, src=0)


@contextmanager
def agreed() -> Iterator[None]:
    """Get through something in all processes, or fail in all of them.

    The first process raises what it met itself, or what the first one that failed has met.

    Raises:
        SaidElsewhereError: In all other processes.
        TrainingError: In the first one, if another one failed.
    """
    failure: Exception | None = None
    try:
        yield
    except Exception as error:
        if is_alone() or is_lost(error):
            raise
        failure = error
    if is_alone() or not summed(torch.tensor(float(failure is not None))):
        return
    reasons = gathered(None if failure is None else _reason(failure))
    if failure is not None and (is_first() or not isinstance(failure, EXPECTED)):
        raise failure
    number, reason = next((k, of) for k, of in enumerate(reasons) if of is not None)
    text = reason if number == 0 else f"process {number + 1} of {len(reasons)}, {reason}"
    raise (TrainingError if is_first() else SaidElsewhereError)(text) from failure


EXPECTED = (GLNetError, OSError, RuntimeError, MemoryError)
"""Errors that say in a line what happened; others are mistakes, whose traceback is wanted."""


def alike(error: GLNetError) -> GLNetError:
    """An error that all processes meet at once, as this one is to raise it."""
    return error if is_first() else SaidElsewhereError(str(error))


def _reason(error: Exception) -> str:
    of = str(error) if isinstance(error, EXPECTED) else f"{type(error).__name__}: {error}"
    return f"on {socket.gethostname()}: {of}" if not is_first() else of


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


def _add_up(gradients: list[Tensor]) -> None:
    if not gradients:
        return
    flat = summed(torch.cat([of.flatten() for of in gradients]))
    totals = torch.split(flat, [of.numel() for of in gradients])
    for of, total in zip(gradients, totals, strict=True):
        of.copy_(total.view_as(of))
