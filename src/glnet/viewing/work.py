"""Tiles on demand: a bounded number at once, and those that were made a while ago from memory."""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TypeVar

import anyio
import anyio.to_thread

from glnet.viewing.layers import Tile

Made = TypeVar("Made")

CACHE_BYTES = 1 << 26
"""What is kept of tiles that were sent."""

WORKERS = 4
MOST_WAITING = 64
"""Requests that are worked on at once, and that wait; a page asks for a dozen tiles at once."""


class BusyError(Exception):
    """More requests wait than can be answered soon."""


class TileCache:
    """The tiles that were used last, up to a number of bytes. For any number of threads.

    Args:
        size: The number.
    """

    def __init__(self, size: int = CACHE_BYTES) -> None:
        self._size, self._held = size, 0
        self._tiles: OrderedDict[Hashable, Tile] = OrderedDict()
        self._lock = Lock()

    @property
    def held_bytes(self) -> int:
        """What is kept."""
        return self._held

    def get(self, key: Hashable) -> Tile | None:
        """A tile that is kept."""
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
            return self._tiles.get(key)

    def put(self, key: Hashable, tile: Tile) -> None:
        """Keep a tile, and let go of those that were not used for the longest time."""
        with self._lock:
            old = self._tiles.pop(key, None)
            self._held += len(tile.encoded.data) - (len(old.encoded.data) if old else 0)
            self._tiles[key] = tile
            while self._held > self._size:
                _, left = self._tiles.popitem(last=False)
                self._held -= len(left.encoded.data)


class Workers:
    """Threads for what would keep others waiting; never are all of them about the same thing.

    Args:
        workers: How many, at least 2.
        most_waiting: How many requests may wait for them.
    """

    def __init__(self, workers: int = WORKERS, most_waiting: int = MOST_WAITING) -> None:
        self._workers, self._most = workers, workers + most_waiting
        self._limiter: anyio.CapacityLimiter | None = None
        self._shares: defaultdict[Hashable, anyio.CapacityLimiter] = defaultdict(
            lambda: anyio.CapacityLimiter(workers - 1)
        )
        self._asked = 0
        self._shared: dict[Hashable, asyncio.Task[object]] = {}

    async def do(self, about: Hashable, work: Callable[[], Made]) -> Made:
        """Do something in a thread.

        Args:
            about: What it has to do with: one thread is left to what is about something else.
            work: What to do.

        Raises:
            BusyError: If too many wait.
        """
        if self._asked >= self._most:
            raise BusyError
        if self._limiter is None:  # It belongs to the event loop that runs now.
            self._limiter = anyio.CapacityLimiter(self._workers)
        self._asked += 1
        try:
            async with self._shares[about]:
                return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._asked -= 1

    async def do_once(self, key: Hashable, work: Callable[[], object]) -> None:
        """Do something in one thread, for all who want it at the same time.

        Args:
            key: Who wants the same has the same one.
            work: What to do; its errors are told to all of them.

        Raises:
            BusyError: If too many wait for other things.
        """
        if key not in self._shared:
            task = self._shared[key] = asyncio.ensure_future(self.do(key, work))
            task.add_done_callback(lambda _: self._shared.pop(key))
        # Who goes away does not end it for the others.
        await asyncio.shield(self._shared[key])
