"""All threads of a command share one heap."""

import ctypes
import subprocess
import sys

import pytest

from glnet.inference import heap
from glnet.inference.settings import quiet

COUNT = """
import ctypes, sys, threading
import numpy as np
from glnet.inference.heap import share_one_heap

if sys.argv[1] == "shared":
    share_one_heap()
held = []
threads = [threading.Thread(target=lambda: held.append(bytearray(1000))) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
stream = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, stream)
libc.fflush(stream)
"""


def _heaps(kind: str) -> int:
    command = [sys.executable, "-c", COUNT, kind]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.count(
        "<heap nr="
    )


@pytest.mark.skipif(
    sys.platform == "win32" or not hasattr(ctypes.CDLL(None), "malloc_info"),
    reason="only glibc has several heaps and tells how many",
)
def test_threads_share_one_heap_where_it_is_asked_for() -> None:
    assert _heaps("shared") == 1
    assert _heaps("by themselves") > 1


GIVE_BACK = """
import numpy as np
from glnet.inference.heap import give_back_memory, share_one_heap
from glnet.inference.machine import resident_host_bytes

share_one_heap()
give_back_memory()
before = resident_host_bytes()
# Arrays with something small behind each, which stays: so what is free lies in pieces.
arrays, small = [], []
for _ in range(400):
    arrays.append(np.ones(12_500))
    small.append(bytearray(1000))
held = resident_host_bytes()
arrays.clear()
give_back_memory()
print(held - before, resident_host_bytes() - before)
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc can be told to"
)
def test_memory_that_lies_free_in_pieces_is_given_back() -> None:
    command = [sys.executable, "-c", GIVE_BACK]
    given = subprocess.run(command, check=True, capture_output=True, text=True).stdout

    held, left = map(int, given.split())
    assert held > 30 * 2**20
    assert left < 5 * 2**20


class _Process:
    """One whose memory is told: what it holds, and how often it gave back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held, self.given = 0, 0
        monkeypatch.setattr(heap, "_own_bytes", lambda: self.held)
        monkeypatch.setattr(heap, "give_back_memory", self._give)

    def _give(self) -> None:
        self.held, self.given = 100 << 20, self.given + 1


def test_what_is_held_beyond_the_first_step_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    process, seen = _Process(monkeypatch), list[tuple[str, int, int]]()
    told = heap.keeping_small(lambda *of: seen.append(of))

    given = []
    for number, held in enumerate([150, 120, 121, 123, 125, 119, 140]):
        process.held = held << 20
        told("patches, region 1 of 2", number, 7)
        given.append(process.given)

    # At the beginning; then a step took 20 MiB, and more than 4 beyond that is too much.
    assert given == [1, 1, 1, 1, 2, 2, 3]
    assert seen == [("patches, region 1 of 2", number, 7) for number in range(7)]


def test_each_phase_has_its_own_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    process = _Process(monkeypatch)
    told = heap.keeping_small(quiet)

    given = []
    for phase, held in [("patches", 150), ("patches", 110), ("writing", 110), ("writing", 180)]:
        process.held = held << 20
        told(phase, 1, 2)
        given.append(process.given)
    process.held = 180 << 20
    told("writing", 2, 2)

    assert [*given, process.given] == [1, 1, 2, 2, 2]
