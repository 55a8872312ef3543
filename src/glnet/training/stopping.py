"""A run that is told to end (SIGTERM) ends in order."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.callbacks import Callback

from glnet.errors import TrainingError
from glnet.training.devices import GO_ON, is_alone


class StoppedError(TrainingError):
    """Somebody wants this process to end."""


@contextmanager
def terminable() -> Iterator[None]:
    """End in order at a SIGTERM, which launchers send.

    Raises:
        StoppedError: If one came.
    """
    if not _is_main_thread():
        yield
        return
    is_over = threading.Event()

    def terminate(*_: object) -> None:
        if not is_over.is_set():
            is_over.set()
            raise _TerminatedError

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except _TerminatedError as error:
        raise StoppedError(
            "stopped by SIGTERM, as launchers do where a job's time is over or another process "
            f"was lost; {GO_ON}"
        ) from error
    finally:
        is_over.set()
        signal.signal(signal.SIGTERM, before)


class Terminable(Callback):
    """Keeps SIGTERM what it is in a run of several processes.

    Lightning's own handler sends a message to the others, who are in the middle of other ones.
    """

    def __init__(self) -> None:
        self._before: Any = None

    def setup(self, *_: object, **__: object) -> None:
        """See what is done at a SIGTERM before Lightning takes it."""
        self._before = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, *_: object) -> None:
        """Put it back."""
        if not is_alone() and _is_main_thread():
            signal.signal(signal.SIGTERM, self._before)


class _TerminatedError(BaseException):
    """Passes all that handles errors."""


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
