"""A run that kills itself at a given moment, in a process of its own that is forked from this one.

A fork begins at once, where a new process would first import torch and Lightning for seconds.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from glnet.model.checkpoint import Model, save_model
from glnet.training import run as module
from glnet.training.config import TrainingConfig
from glnet.training.run import Watchers, train

Moment = Callable[[], Watchers]
"""Prepares the kill in the new process; returns who hears of the run there."""


def kill() -> None:
    """As ``kill -9`` would, or the kernel when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def after_step(stage: str, number: int) -> Moment:
    """After a step of a stage, before its checkpoint is written."""

    def steps(phase: str, done: int, _: int) -> None:
        if (phase, done) == (stage, number):
            kill()

    return lambda: Watchers(lambda _: None, steps)


def half_way_through_writing(number: int) -> Moment:
    """When half of the so-manieth checkpoint is on the disk."""

    def prepare() -> Watchers:
        write = Path.write_bytes
        written = 0

        def write_half(path: Path, content: memoryview) -> int:
            nonlocal written
            written += 1
            if written == number:
                write(path, bytes(content)[: len(content) // 2])
                kill()
            return write(path, content)

        Path.write_bytes = write_half  # type: ignore[method-assign, assignment]
        return Watchers(lambda _: None)

    return prepare


def before_saving(stage: str) -> Moment:
    """When a stage has ended, before its model is written."""

    def prepare() -> Watchers:
        save = save_model

        def save_or_die(model: Model, folder: Path, **of: bool) -> None:
            if folder.name == stage:
                kill()
            save(model, folder, **of)

        setattr(module, "save_model", save_or_die)  # noqa: B010 - not its own
        return Watchers(lambda _: None)

    return prepare


def run_until(moment: Moment, config: TrainingConfig, *, resume: bool = False) -> None:
    """Train in a process that is killed at a moment, and wait for its end."""
    child = os.fork()
    if child == 0:
        try:
            train(config, moment(), resume=resume)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the moment never came"
    assert os.WTERMSIG(status) == signal.SIGKILL
