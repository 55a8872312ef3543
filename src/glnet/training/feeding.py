"""The way of portions to the device: read ahead by processes, waited for by a clock."""

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from glnet.training.plan import Plan
from glnet.training.portions import Portion, Portions
from glnet.training.tasks import Task

READ_AHEAD = 2
"""Portions that every reading process holds ready."""


class _Tasks(Sampler[Task]):
    """The tasks of an epoch from a step on."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.epoch = 0
        self.step = 0

    def __iter__(self) -> Iterator[Task]:
        for step in range(self.step, self._plan.steps):
            yield from self._plan.tasks(self.epoch, step)


class Feed:
    """Portions of one step after another, read ahead.

    Args:
        plan: What every step sees.
        portions: How it is read.
        workers: Processes that read; 0 reads in this one.
    """

    def __init__(self, plan: Plan, portions: Portions, workers: int) -> None:
        self.plan = plan
        self._tasks = _Tasks(plan)
        # Tasks take the place of indices: so workers live on from epoch to epoch, with what they
        # have cached, and need not be told what an epoch sees.
        self._loader: DataLoader[Portion] = DataLoader(
            portions,
            batch_size=None,
            sampler=self._tasks,
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=READ_AHEAD if workers else None,
            collate_fn=_as_it_is,
        )
        self._next: tuple[int, int] | None = None
        self._stream: Iterator[Portion] = iter(())
        self.waited_s = 0.0

    def step(self, epoch: int, step: int, device: torch.device) -> Iterator[Portion]:
        """The portions of a step; steps that follow each other are read ahead."""
        if self._next != (epoch, step):
            self._tasks.epoch, self._tasks.step = epoch, step
            self._stream = iter(self._loader)
        self._next = None
        for _ in self.plan.tasks(epoch, step):
            began = time.perf_counter()
            portion = next(self._stream).to(device)
            self.waited_s += time.perf_counter() - began
            yield portion
        self._next = (epoch, step + 1)

    def close(self) -> None:
        """End the processes that read, with what they have cached; a step would start others."""
        self._next, self._stream = None, iter(())
        self._loader._iterator = None  # torch has no public way to end workers that live on


def _as_it_is(portion: Any) -> Any:  # noqa: ANN401 - torch expects a list to be joined
    return portion
