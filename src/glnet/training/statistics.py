"""Batch normalisation's running statistics, moved once per optimiser step.

Torch moves them with every forward pass, so that they would hang on the order of portions and,
on several devices, differ from one to the next. Here the statistics of all portions of a step, on
all devices, are averaged first.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Sum = Callable[[Tensor], Tensor]
"""Adds up a tensor over all devices."""


class _Before(NamedTuple):
    momentum: float
    mean: Tensor
    variance: Tensor
    portions: Tensor


class StepStatistics:
    """The running statistics of some modules, over one step at a time.

    Args:
        modules: Those in training mode gather statistics.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        norms = [of for module in modules for of in module.modules()]
        self._norms = [of for of in norms if isinstance(of, _BatchNorm) and of.track_running_stats]
        self._before: list[tuple[_BatchNorm, _Before]] = []

    def begin(self) -> None:
        """Gather from nothing."""
        self._before = [
            (norm, _Before(norm.momentum, *(of.clone() for of in _running(norm))))
            for norm in self._norms
            if norm.training and norm.momentum is not None
        ]
        for norm, _ in self._before:
            norm.momentum = None  # Torch's word for the plain mean of all that came.
            _running(norm)[2].zero_()

    def finish(self, summed: Sum = lambda of: of) -> None:
        """Move the running statistics as far as that many portions would have moved them."""
        for norm, before in self._before:
            mean, variance, portions = _running(norm)
            packed = summed(torch.stack([mean, variance, torch.ones_like(mean)]) * portions)
            norm.momentum = before.momentum
            number = packed[2].clamp_min(1)
            rate = 1 - (1 - before.momentum) ** packed[2]
            mean.copy_(torch.lerp(before.mean, packed[0] / number, rate))
            variance.copy_(torch.lerp(before.variance, packed[1] / number, rate))
            portions.copy_(before.portions + packed[2][0].to(portions.dtype))
        self._before = []


def _running(norm: _BatchNorm) -> tuple[Tensor, Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    return norm.running_mean, norm.running_var, norm.num_batches_tracked
