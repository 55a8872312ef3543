"""Work that is given out to workers which may die, and comes back in its order.

A worker has one piece at a time. What it had when it died is given to another one, first of all;
a piece with which so many workers died is given up. It is the engine (Ray) that starts workers
anew; here nobody waits for one of them as long as there are others.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from queue import Empty, PriorityQueue
from typing import Protocol

from glnet.cluster.pieces import Failure, Method, Scene
from glnet.errors import ClusterError

MOST_TRIES = 4
"""A piece with which so many workers were lost is given up."""

LONGEST_WITHOUT_S = 300.0
"""So long there may be no worker at all."""

TICK_S = 0.2
"""How often a waiting thread looks whether all is over."""


class LostError(Exception):
    """A worker died, or its answer was lost; another one may be asked."""


class Hand(Protocol):
    """One worker, as the driver holds it."""

    @property
    def name(self) -> str:
        """What a table calls it."""
        ...

    @property
    def trouble(self) -> str:
        """Why it does not come back, where that is known; else empty."""
        ...

    def call(self, method: Method, scene: Scene, words: Sequence[object]) -> object:
        """Ask, and wait for the answer.

        Raises:
            LostError: If there will be none.
        """
        ...

    def revive(self, is_over: Callable[[], bool]) -> bool:
        """Wait until it runs again, after it was lost; False if all is over before."""
        ...


@dataclass(order=True)
class _Piece:
    number: int
    method: Method = field(compare=False)
    scene: Scene = field(compare=False)
    words: Sequence[object] = field(compare=False)
    label: str = field(compare=False)
    future: Future[object] = field(compare=False, default_factory=Future)
    losses: int = field(compare=False, default=0)


@dataclass
class Effort:
    """What was done, for a table.

    Attributes:
        pieces: How many pieces of work.
        seconds: How long they took.
        waited_s: How long there was nothing to do.
        lost: How many pieces were lost with a worker, and done again.
    """

    pieces: int = 0
    seconds: float = 0.0
    waited_s: float = 0.0
    lost: int = 0


class Pool:
    """The workers of a run.

    Args:
        hands: One for every worker.
        tell: Told in a line when a worker is lost.

    Attributes:
        efforts: Of every worker, by its name.
        scenes: Of every image; waiting is here the driver's, for what it needs next.
    """

    def __init__(self, hands: Sequence[Hand], tell: Callable[[str], None]) -> None:
        self.efforts = {hand.name: Effort() for hand in hands}
        self.scenes: dict[str, Effort] = {}
        self._hands = hands
        self._tell = tell
        self._queue: PriorityQueue[_Piece] = PriorityQueue()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._living = len(hands)
        self._bereft_since = 0.0
        self._threads = [
            threading.Thread(target=self._work, args=(hand,), name=hand.name, daemon=True)
            for hand in hands
        ]
        for thread in self._threads:
            thread.start()

    @property
    def workers(self) -> int:
        """How many there are, dead ones included."""
        return len(self._threads)

    @property
    def is_over(self) -> bool:
        """Whether nothing is given out any more."""
        return self._is_over.is_set()

    @property
    def is_hungry(self) -> bool:
        """Whether some worker may soon have nothing to do, or none will ever do anything."""
        is_hopeless = self._is_over.is_set() or self._is_bereft
        return is_hopeless or self._queue.qsize() < self.workers

    @property
    def _is_bereft(self) -> bool:
        """Whether there has been no worker for too long."""
        return not self._living and time.monotonic() - self._bereft_since > LONGEST_WITHOUT_S

    def submit(
        self, method: Method, scene: Scene, words: Sequence[object], label: str
    ) -> Future[object]:
        """Give out a piece of work; its label says in an error what could not be done."""
        piece = _Piece(next(self._numbers), method, scene, words, label)
        self._queue.put(piece)
        return piece.future

    def result(self, scene: Scene, future: Future[object]) -> object:
        """What came of a piece of work, once it is there.

        Raises:
            ClusterError: If too many workers were lost with it, or all of them for long.
            GLNetError: What the worker raised.
        """
        began = time.monotonic()
        while not future.done():
            self._require_hope()
            wait([future], TICK_S)
        with self._lock:
            self.scenes.setdefault(scene.image, Effort()).waited_s += time.monotonic() - began
        return _opened(future.result())

    def in_order(
        self, scene: Scene, submitted: Iterable[Callable[[], Future[object]]]
    ) -> Generator[object]:
        """What comes of several pieces, in their order, whichever is done first.

        Args:
            scene: To which they belong.
            submitted: Gives out one after another. No more are given out than workers can have,
                and as many results more that wait to be taken: a slow taker slows them down.
        """
        waiting: deque[Future[object]] = deque()
        try:
            for submit in submitted:
                waiting.append(submit())
                if len(waiting) > self.workers + 1:
                    yield self.result(scene, waiting.popleft())
            while waiting:
                yield self.result(scene, waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """Give nothing out any more; who waits for a result is told that all is over."""
        self._is_over.set()

    def join(self) -> None:
        """Wait until no thread asks a worker any more."""
        for thread in self._threads:
            thread.join()

    def _require_hope(self) -> None:
        if self._is_over.is_set():
            raise ClusterError("the workers were sent home")
        if self._is_bereft:
            trouble = next((f" ({hand.trouble})" for hand in self._hands if hand.trouble), "")
            raise ClusterError(
                f"all workers were lost, and none came back in {LONGEST_WITHOUT_S:.0f} seconds"
                f"{trouble}; see to the cluster, then go on with --resume"
            )

    def _work(self, hand: Hand) -> None:
        """The life of one worker's thread."""
        effort, began = self.efforts[hand.name], time.monotonic()
        while not self._is_over.is_set():
            try:
                piece = self._queue.get(timeout=TICK_S)
            except Empty:
                continue
            if not (piece.losses or piece.future.set_running_or_notify_cancel()):
                continue
            effort.waited_s += time.monotonic() - began
            if not self._done(hand, piece, effort) and not self._revived(hand):
                return
            began = time.monotonic()

    def _done(self, hand: Hand, piece: _Piece, effort: Effort) -> bool:
        """Do a piece; False if the worker was lost."""
        began = time.monotonic()
        try:
            found = hand.call(piece.method, piece.scene, piece.words)
        except LostError as error:
            self._lost(hand, piece, effort, error)
            return False
        except BaseException as error:
            piece.future.set_exception(error)
            return True
        took = time.monotonic() - began
        with self._lock:
            of_scene = self.scenes.setdefault(piece.scene.image, Effort())
            for of in (effort, of_scene):
                of.pieces += 1
                of.seconds += took
        piece.future.set_result(found)
        return True

    def _lost(self, hand: Hand, piece: _Piece, effort: Effort, error: Exception) -> None:
        piece.losses += 1
        with self._lock:
            effort.lost += 1
            self.scenes.setdefault(piece.scene.image, Effort()).lost += 1
        self._tell(f"{hand.name} was lost with {piece.label}; another one does it")
        if piece.losses < MOST_TRIES:
            self._queue.put(piece)
            return
        piece.future.set_exception(
            ClusterError(
                f"{piece.label} was given up, as {MOST_TRIES} workers were lost with it; the last "
                f"time: {' '.join(str(error).split())}"
            )
        )

    def _revived(self, hand: Hand) -> bool:
        with self._lock:
            self._living -= 1
            self._bereft_since = time.monotonic()
        is_back = hand.revive(self._is_over.is_set)
        with self._lock:
            self._living += is_back
        return is_back


def _opened(found: object) -> object:
    """What a worker found, or what it raised.

    Raises:
        GLNetError: If it raised one.
    """
    if isinstance(found, Failure):
        raise found.error
    return found
