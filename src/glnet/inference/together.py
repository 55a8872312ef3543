"""Several images, one after another or several at once, and what is told of them."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from glnet.inference.executing import Executor
from glnet.inference.jobs import Job
from glnet.inference.report import SegmentFailure, SegmentReport, Watcher

Outcome = SegmentReport | SegmentFailure

Run = Callable[[Job, Watcher], Outcome]
"""Segments an image, and tells how it comes along, but not of its start and end."""

OPENING = 4
"""Images that are opened at once."""

WHOLE = 100
"""The steps of an image, where several are at work."""


def one_by_one(jobs: Sequence[Job], run: Run, watcher: Watcher) -> Iterator[Outcome]:
    """Segment one image after another."""
    for job in jobs:
        watcher.starts(str(job.image))
        outcome = run(job, watcher)
        _tell_end(outcome, watcher)
        yield outcome


def together(
    jobs: Sequence[Job], run: Run, watcher: Watcher, executor: Executor
) -> Iterator[Outcome]:
    """Segment several images at once, so that the end of one leaves no worker idle.

    Their outcomes are in the order of the images. An image is begun when workers have nothing to
    do, so that as few as possible are open.
    """
    if len(jobs) < 2:
        yield from one_by_one(jobs, run, watcher)
        return
    hall, opening = _Hall(watcher, len(jobs)), threading.Semaphore(OPENING)

    def one(job: Job) -> Outcome:
        seat = _Seat(hall, opening)
        try:
            outcome = run(job, seat)
        finally:
            seat.is_open()
        hall.ends(seat, outcome)
        return outcome

    with ThreadPoolExecutor(executor.scenes, thread_name_prefix="glnet-scene") as pool:
        waiting: list[Future[Outcome]] = []
        try:
            for job in jobs:
                opening.acquire()
                executor.wait_until_hungry()
                hall.require_calm()
                waiting.append(pool.submit(one, job))
            yield from (of.result() for of in waiting)
        except BaseException:
            hall.stop()
            executor.interrupt()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class Stopped(BaseException):
    """The other images are not to be gone on with."""


class _Hall:
    """One watcher for several images at once, which may know one at a time only."""

    def __init__(self, watcher: Watcher, images: int) -> None:
        self._watcher = watcher
        self._images = images
        self._lock = threading.Lock()
        self._shares: dict[_Seat, float] = {}
        self._ended = 0
        self._is_stopped = False
        self._begin()

    def _begin(self) -> None:
        self._watcher.starts(f"{self._images} images")

    def stop(self) -> None:
        """Have all others end as soon as they say something."""
        self._is_stopped = True

    def require_calm(self) -> None:
        """Go on, unless somebody has stopped it all.

        Raises:
            Stopped: If so.
        """
        if self._is_stopped:
            raise Stopped

    def advances(self, seat: "_Seat", share: float) -> None:
        """An image is through so large a share of its work."""
        self.require_calm()
        with self._lock:
            self._shares[seat] = max(share, self._shares.get(seat, 0))
            done = self._ended + sum(self._shares.values())
            phase = f"{self._ended} done, {len(self._shares)} at work"
            self._watcher.advances(phase, int(WHOLE * done), WHOLE * self._images)

    def ends(self, seat: "_Seat", outcome: Outcome) -> None:
        """An image is through."""
        with self._lock:
            self._shares.pop(seat, None)
            self._ended += 1
            if self._is_stopped:  # Why is said once, by who stopped it.
                return
            _tell_end(outcome, self._watcher)
            if self._ended < self._images:
                self._begin()


class _Seat:
    """The watcher of one of several images."""

    def __init__(self, hall: _Hall, opening: threading.Semaphore) -> None:
        self._hall = hall
        self._opening = opening
        self._was_opened = False
        self._written = False

    def is_open(self) -> None:
        """Let another image be opened."""
        if not self._was_opened:
            self._was_opened = True
            self._opening.release()

    def starts(self, image: str) -> None:
        """Said of all at once."""

    def advances(self, phase: str, done: int, total: int) -> None:
        """So many steps of a phase; what is computed counts half, what is written the rest."""
        self._written = self._written or phase.startswith("writing")
        share = done / max(1, total) / 2
        self._hall.advances(self, share + 0.5 if self._written else share)

    def announces(self, text: str) -> None:
        """The image is open, and its work begins."""
        del text
        self.is_open()

    def finishes(self, report: SegmentReport) -> None:
        """Said by the hall."""

    def fails(self, failure: SegmentFailure) -> None:
        """Said by the hall."""

    def passes_over(self, image: str) -> None:
        """Said before."""


def _tell_end(outcome: Outcome, watcher: Watcher) -> None:
    if isinstance(outcome, SegmentReport):
        watcher.finishes(outcome)
    else:
        watcher.fails(outcome)
