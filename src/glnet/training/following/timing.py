"""Two clocks of a stage: how long the device waits for data, and how long the rest will take."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

Doing = Literal["waiting", "working", "aside"]
"""What time goes to: waiting for a batch, training on it, or neither."""


class Lap(NamedTuple):
    """Where the time of a round went, in seconds; what was set aside is in neither."""

    waiting: float
    working: float

    @property
    def waiting_share(self) -> float:
        """Share of the training time that was spent waiting for data, 0..1."""
        total = self.waiting + self.working
        return self.waiting / total if total > 0 else 0.0


class Stopwatch:
    """Tells waiting for data from training, seen from the process that trains.

    A device that is fed without being waited for is busy while this process waits for the next
    batch already, so on such a device the share is the most that it can have been idle.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._doing: Doing = "aside"
        self._since = clock()
        self._spent = {"waiting": 0.0, "working": 0.0, "aside": 0.0}

    def asked(self) -> None:
        """A batch is asked for."""
        self._turn_to("waiting")

    def came(self) -> None:
        """It is here, and work on it begins."""
        self._turn_to("working")

    def done(self) -> None:
        """Work on it has ended; what follows does not count until a batch is asked for."""
        self._turn_to("aside")

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What happens meanwhile, such as validation or a checkpoint, does not count."""
        before = self._doing
        self._turn_to("aside")
        try:
            yield
        finally:
            self._turn_to(before)

    def lap(self) -> Lap:
        """What was counted since the last lap; the next one begins when a batch is asked for."""
        self._turn_to("aside")
        lap = Lap(self._spent["waiting"], self._spent["working"])
        self._spent = dict.fromkeys(self._spent, 0.0)
        return lap

    def _turn_to(self, doing: Doing) -> None:
        now = self._clock()
        self._spent[self._doing] += now - self._since
        self._doing, self._since = doing, now


def estimate_left(done_before: float, done: float, total: float, seconds: float) -> float | None:
    """How many seconds the rest of a stage takes at the pace of this process.

    Args:
        done_before: Epochs or steps that were done when this process took over; they cost it
            nothing, so they say nothing about its pace.
        done: Those done now.
        total: All there are.
        seconds: Since this process took over.

    Returns:
        None until something has been done.

    Raises:
        ValueError: If they do not follow each other.
    """
    if not 0 <= done_before <= done <= total:
        raise ValueError(f"expected 0 <= {done_before} <= {done} <= {total}: before, now, in all")
    if done == total:
        return 0.0
    if done == done_before:
        return None
    return seconds / (done - done_before) * (total - done)
