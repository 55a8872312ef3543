"""Running ``glnet`` as a user would, in this process or in one of its own."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from glnet.cli.main import main


def run(*words: object) -> int:
    return main([str(word) for word in words])


def only_line(captured: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr of a command that failed and printed nothing else."""
    out, err = captured.readouterr()
    assert out == ""
    assert err.startswith("glnet: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err.removeprefix("glnet: ").rstrip("\n")


def start(*words: object, before: str = "") -> subprocess.Popen[str]:
    """The command in a process of its own, after some preparing code."""
    code = f"import sys; {before}\nfrom glnet.cli.main import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """To a program, a file that may not grow looks like a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
