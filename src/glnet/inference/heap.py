"""The heap of a process that runs for hours: what lies free in it is no more late than early.

Tensors of all sizes and GDAL's blocks come and go, small things stay between them, and what is free
comes to lie in pieces that fit less and less. What is said here is for glibc; elsewhere it does
nothing.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from glnet.inference.settings import Progress

MOST_HEAPS, APART_FROM, KEPT_FREE = -8, -3, -1
"""glibc's names for these parameters of ``mallopt`` (M_ARENA_MAX, M_MMAP_THRESHOLD and
M_TRIM_THRESHOLD in malloc.h)."""

APART_BYTES, APART_MOST_BYTES = 1 << 18, 1 << 25
"""A block of GDAL's cache; and what glibc raises the parameter to at most, by itself."""

PAGES_HELD = Path("/proc/self/statm")
"""The pages of this process: all, in memory, of these those of files, ..."""

SURPLUS_BYTES = 1 << 22
"""How much more than in the first step may be held before it is given back."""


def share_one_heap() -> None:
    """Have all threads of this process share one heap, where its C library lets one choose (glibc).

    By itself each thread gets one of its own, and what one of them has freed no other uses: reading
    ahead and computing then hold more the longer they run (`benchmarks/any_size.py`). For a process
    of our own, before threads have begun; not for a library that is a guest in one.
    """
    _tune(MOST_HEAPS, 1)
    _heap.is_shared = True


class _Heap:
    """What was done with this process's heap."""

    is_shared = False


_heap = _Heap()


def _tune(parameter: int, value: int) -> None:
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(parameter, value)


def give_back_memory() -> None:
    """Have the C library hand memory that it keeps for later back to the system (glibc)."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def keeping_small(progress: Progress) -> Progress:
    """The same, but memory that is held beyond what the first steps took is given back.

    What is free and was used once stays in the process, step after step in other places. A step of
    each phase shows how much more is held after it than when all was given back; once it is more
    than that, all is given back again. Always to do so would cost every step the emptying of its
    pages (8 to 12 % of the CPU's time for a small network).
    """
    held = _Held()

    def told(phase: str, done: int, total: int) -> None:
        held.look(phase.partition(",")[0])
        progress(phase, done, total)

    return told


class _Held:
    """What the process held after the steps of a phase."""

    def __init__(self) -> None:
        self._phase = ""
        self._least = 0
        self._step: int | None = None

    def look(self, phase: str) -> None:
        """After a step: give back what is too much."""
        held = _own_bytes()
        if held is None:
            return
        if phase != self._phase:
            self._phase, self._step = phase, None
        elif self._step is None:
            self._step = max(0, held - self._least)
            return
        elif held <= self._least + self._step + SURPLUS_BYTES:
            return
        give_back_memory()
        self._least = _own_bytes() or 0


def _own_bytes() -> int | None:
    """What the process holds of its own: no pages of files, which the system takes by itself."""
    if not PAGES_HELD.exists():
        return None
    resident, of_files = map(int, PAGES_HELD.read_text().split()[1:3])
    return (resident - of_files) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def large_blocks_apart() -> Iterator[None]:
    """Have large blocks of memory lie outside the heap, where `share_one_heap` was called.

    Each costs the system's work of emptying its pages: too much for a network (0.2 s per GiB were
    measured), little for what is written.
    """
    if not _heap.is_shared:
        yield
        return
    _tune(APART_FROM, APART_BYTES)
    _tune(KEPT_FREE, 4 * APART_BYTES)
    try:
        yield
    finally:
        _tune(APART_FROM, APART_MOST_BYTES)
        _tune(KEPT_FREE, 2 * APART_MOST_BYTES)
