"""All threads of a command share one heap."""

import ctypes
import subprocess
import sys

import pytest

COUNT = """
import ctypes, sys, threading
import numpy as np
from glnet.inference.machine import share_one_heap

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
from glnet.inference.machine import give_back_memory, resident_host_bytes, share_one_heap

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
