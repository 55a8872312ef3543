"""A Ray cluster that this process joins, or starts: Ray itself, and the way in."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType

from glnet.errors import ClusterError, ConfigurationError

LOCAL = "local"
"""The address of a cluster that is started on this machine, and ends with the command."""

SECONDS_TO_ANSWER = 10.0
"""So long the address of a cluster may take to let somebody in."""

GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""How HTTP/2, which Ray speaks, begins (RFC 9113, 3.4), with empty settings."""

SETTINGS = 4
"""The kind of what is answered to it; it follows a length of three bytes."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Which workers are wanted.

    Attributes:
        workers: How many; by default as many as the cluster has room for.
        threads: With how many each computes, and how many CPUs it takes.
        gpus: Which part of a GPU each takes; 0 computes on the CPU.

    Raises:
        ConfigurationError: If a number is too low.
    """

    workers: int | None = None
    threads: int = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ConfigurationError(f"at least 1 worker is needed, got {self.workers} (--workers)")
        if self.threads < 1:
            raise ConfigurationError(f"a worker needs at least 1 thread, got {self.threads}")
        if self.gpus < 0 or (self.gpus > 1 and self.gpus != int(self.gpus)):
            raise ConfigurationError(
                "a worker takes a part of one GPU or several whole ones, such as 0.5 or 1, got "
                f"{self.gpus:g} (--gpus-per-worker)"
            )


def imported() -> ModuleType:
    """Ray, with its settings made.

    Raises:
        ClusterError: If it is not installed.
    """
    if find_spec("ray") is None:
        raise ClusterError("this needs Ray; install it with: pip install 'glnet[ray]'")
    # Before it is imported, as it reads them then.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray  # noqa: PLC0415 - an extra
    import ray.exceptions  # noqa: PLC0415

    _silence(ray)
    return ray


def _silence(ray: ModuleType) -> None:
    """Keep Ray from printing of lost workers onto stdout, where results go; no setting does.

    The pool tells of them, on stderr.
    """
    inside = getattr(ray, "_private", None)
    of_driver = getattr(inside, "worker", None)
    if of_driver is not None and hasattr(of_driver, "print_to_stdstream"):
        of_driver.print_to_stdstream = _say_nothing


def _say_nothing(*_: object, **__: object) -> None:
    """Nothing."""


def connect(ray: ModuleType, address: str, places: Places) -> None:
    """Join a cluster, or start one.

    Raises:
        ClusterError: If there is none at the address, or it has another Python or Ray.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or address
    if "://" in address:
        raise ClusterError(
            f"expected the address of a Ray cluster such as 10.0.0.1:6379, got {address}; run this "
            "on one of the cluster's machines"
        )
    if address not in {"auto", LOCAL}:
        _require_answer(address)
    quiet: dict[str, object] = {
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    with explained(ray):
        if address == LOCAL:
            _start_local(ray, places, quiet)
            return
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError as error:
            if address != "auto":
                raise ClusterError(
                    f"no Ray cluster answers at {address}; start one with: ray start --head"
                ) from error
            _start_local(ray, places, quiet)


def are_same(one: str, other: str) -> bool:
    """Whether two addresses are of one place, as far as names tell."""
    if "://" in one or one.rpartition(":")[2] != other.rpartition(":")[2]:
        return False
    try:
        hosts = [socket.gethostbyname(of.rpartition(":")[0]) for of in (one, other)]
    except OSError:
        return False
    return hosts[0] == hosts[1] or hosts[0].startswith("127.")


def _start_local(ray: ModuleType, places: Places, quiet: dict[str, object]) -> None:
    cpus = None if places.workers is None else places.workers * places.threads
    ray.init(address=LOCAL, num_cpus=cpus, **quiet)


def _require_answer(address: str) -> None:
    """Ask at the door first: Ray would try for long, and then end the process.

    Raises:
        ClusterError: If nobody answers there, or somebody who is no Ray head.
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), SECONDS_TO_ANSWER) as door:
            if "RAY_USE_TLS" not in os.environ:
                _require_greeting(door)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({error}); name the host and port that ray start "
            "--head has printed, or auto"
        ) from error


def _require_greeting(door: socket.socket) -> None:
    """Hear whether it may be Ray that has opened.

    Raises:
        OSError: If not.
    """
    door.sendall(GREETING)
    with door.makefile("rb") as heard:
        answer = heard.read(9)
    if answer[3:4] != bytes([SETTINGS]):
        raise ConnectionError("something else than a Ray head is there")


@contextmanager
def explained(ray: ModuleType) -> Iterator[None]:
    """Say in a line what Ray says in many.

    Raises:
        ClusterError: If it says something.
    """
    try:
        yield
    except (ray.exceptions.RayError, RuntimeError, ConnectionError) as error:
        if isinstance(error, ClusterError):
            raise
        words = " ".join(str(error).split())
        raise ClusterError(f"the Ray cluster cannot be used: {words}") from error


def workers_on(resources: dict[str, float], places: Places) -> int:
    """How many workers have room on a node."""
    room = int(resources.get("CPU", 0) // places.threads)
    if not places.gpus:
        return room
    return min(room, int(resources.get("GPU", 0) / places.gpus + 1e-6))
