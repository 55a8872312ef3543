"""The other processes of this machine: started where nobody else has, and watched."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lightning.fabric.plugins.environments.lightning import find_free_network_port

from glnet.errors import ConfigurationError
from glnet.training.devices import GO_ON, LostProcessError, SaidElsewhereError
from glnet.training.stopping import StoppedError

STARTED_BY = "GLNET_STARTED_BY"
"""Names the process that started this one, in its environment."""

BY_HAND = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What the environment says where a user starts the command on each of several machines."""

STARTED_WITH = ("LOCAL_RANK", *BY_HAND)
"""What the first process says in its own environment before it starts others."""

GRACE_S = 10.0
"""So long a process may take to find out by itself that another one is lost."""


@contextmanager
def with_others(devices: int) -> Iterator[None]:
    """Start the other processes of this machine, unless this is one of them.

    Args:
        devices: How many there are on this machine, this one included.

    Raises:
        ConfigurationError: If this program is none that can be started again.
        LostProcessError: If one of them, or the first one, was lost while the block ran.
    """
    if "LOCAL_RANK" in os.environ:
        with _beside_first():
            yield
        return
    command, before = _own_command(), {name: os.environ.get(name) for name in STARTED_WITH}
    os.environ["LOCAL_RANK"] = "0"  # So Lightning knows that nothing is left to start.
    os.environ.setdefault("NODE_RANK", "0")
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", str(find_free_network_port()))
    others = [
        subprocess.Popen(command, env=_environment_of(rank), stderr=_stderr())
        for rank in range(1, devices)
    ]
    try:
        with _watching(lambda: _fate(others), others):
            yield
    except BaseException as error:
        if isinstance(error, LostProcessError) and (fate := _soon(lambda: _fate(others))):
            raise LostProcessError(f"{fate}; {GO_ON}") from error
        raise
    finally:
        if sys.exc_info()[0] is not None:
            _end(others)
            _restore(before)  # So that a program which goes on may train again.


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _own_command() -> list[str]:
    """How this program was called.

    Raises:
        ConfigurationError: If it is none that can be called again.
    """
    import __main__  # noqa: PLC0415 - another one in every program

    spec = getattr(__main__, "__spec__", None)
    if spec is not None:
        return [sys.executable, "-m", spec.name, *sys.argv[1:]]
    if not Path(sys.argv[0]).is_file():
        raise ConfigurationError(
            "several devices need this program started again for each of them, and it is no file; "
            "put it into one, or use torchrun"
        )
    return [sys.executable, str(Path(sys.argv[0]).absolute()), *sys.argv[1:]]


def _environment_of(rank: int) -> dict[str, str]:
    return {**os.environ, "LOCAL_RANK": str(rank), STARTED_BY: str(os.getpid())}


def _stderr() -> int | None:
    """Where this process complains, which need not be the stream that others inherit."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError):
        return None


def _fate(others: Sequence[subprocess.Popen[bytes]]) -> str | None:
    """What became of the first process that is no more and did not end well."""
    for number, other in enumerate(others, start=2):
        code = other.poll()
        if code:
            how = f"killed ({signal.Signals(-code).name})" if code < 0 else f"lost (code {code})"
            return f"process {number} of {len(others) + 1} of this machine was {how}"
    return None


def _end(others: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait for their own end, which comes where they are told of this one's or miss it."""
    for other in others:
        try:
            other.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            other.kill()


@contextmanager
def _beside_first() -> Iterator[None]:
    """Live as long as the first process does, if it is that one's word that counts."""
    first = int(os.environ.get(STARTED_BY, "0"))
    if first != os.getppid():
        yield
        return
    fate = "the first process of this training was lost"

    def gone() -> str | None:
        return None if os.getppid() == first else fate

    try:
        with _watching(gone):
            yield
    except (LostProcessError, StoppedError) as error:
        if _soon(gone) is None:
            raise SaidElsewhereError(str(error)) from error
        raise LostProcessError(f"{fate}; {GO_ON}") from error


def _soon(fate: Callable[[], str | None]) -> str | None:
    """What a process that does not answer turns out to have met within a moment."""
    for _ in range(20):
        if (found := fate()) is not None:
            return found
        time.sleep(0.1)
    return None


@contextmanager
def _watching(
    fate: Callable[[], str | None], others: Sequence[subprocess.Popen[bytes]] = ()
) -> Iterator[None]:
    """End this process if another one is lost and it has not found out itself.

    It may wait for the lost one within a library that cannot be interrupted.
    """
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(1):
            if (found := fate()) is not None and not is_over.wait(GRACE_S):
                sys.stderr.write(f"glnet: error: {found}; {GO_ON}\n")
                for other in others:
                    other.kill()
                os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watches-processes").start()
    try:
        yield
    finally:
        is_over.set()
