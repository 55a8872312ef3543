"""The server of the page: where it listens, and for how long."""

import importlib
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from threading import Thread
from typing import NamedTuple

from glnet.errors import ConfigurationError
from glnet.viewing.gallery import Gallery
from glnet.viewing.job import Job
from glnet.viewing.page_files import page_files

LOOPBACK = "127.0.0.1"

OWN_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""What this machine calls itself: nobody else can be meant."""

LIBRARIES = ("starlette", "uvicorn")
EXTRA = "pip install 'glnet[view]'"

PORTS_TRIED = 100
MOST_CONNECTIONS = 256
MOST_HEADER_BYTES = 1 << 14
TOKEN_BYTES = 24


class Address(NamedTuple):
    """Where a page is."""

    host: str
    port: int
    token: str

    @property
    def url(self) -> str:
        """What is opened in a browser, once."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/?token={self.token}"


def require_view() -> None:
    """Refuse before any work where the page cannot be served.

    Raises:
        ConfigurationError: If a library is missing, or the page is not built.
    """
    for library in LIBRARIES:
        try:
            importlib.import_module(library)
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"this needs {error.name}; install it with: {EXTRA}"
            ) from error
    page_files()


@contextmanager
def serving(
    gallery: Gallery, host: str = LOOPBACK, port: int = 0, job: Job | None = None
) -> Iterator[Address]:
    """Serve a page, in a thread of its own, for as long as the block lasts.

    Args:
        gallery: The images.
        host: Where to listen: an address of this machine, by default one that only it reaches.
        port: Likewise; 0 for any that is free.
        job: A running segmentation.

    Raises:
        ConfigurationError: If a library is missing, the page is not built, or there is no such
            address, or its port is taken.
    """
    require_view()
    from glnet.viewing.app import Server  # noqa: PLC0415 - needs the extra
    from glnet.viewing.guard import Guard  # noqa: PLC0415

    listening = listen(host, port)
    address = Address(host, listening.getsockname()[1], secrets.token_urlsafe(TOKEN_BYTES))
    app = Server(gallery, page_files(), job).app()
    guard = Guard(app, address.token, names_of(host))
    # The images last: nothing may ask for them any more.
    with gallery, listening, _running(guard, listening):
        gallery.start()
        yield address


def listen(host: str, port: int) -> socket.socket:
    """A socket that waits for connections.

    Raises:
        ConfigurationError: If there is no such address here, or its port is taken.
    """
    if not 0 <= port < 1 << 16:
        raise ConfigurationError(f"a port is a number up to 65535, 0 for any, got {port}")
    try:
        is_everywhere = ip_address(host).is_unspecified
        family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    except ValueError as error:
        raise ConfigurationError(f"--host takes a number such as {LOOPBACK}, got {host}") from error
    if is_everywhere:
        raise ConfigurationError(
            f"{host} is every address of this machine; name the one under which the page is called"
        )
    try:
        return _bound(family, host, port)
    except PermissionError as error:
        raise ConfigurationError(
            f"port {port} is not open to you; choose one from 1024 on"
        ) from error
    except OSError as error:
        free = _next_free(family, host, port)
        if free is None:
            raise ConfigurationError(f"cannot listen on {host}: {error.strerror}") from error
        raise ConfigurationError(f"port {port} is in use; {free} is free: --port {free}") from error


def names_of(host: str) -> frozenset[str]:
    """What those may call us who reach this address."""
    address = ip_address(host)  # Browsers write the shortest form.
    named = frozenset({f"[{address.compressed}]" if address.version == 6 else str(address)})
    return OWN_NAMES | named if address.is_loopback else named


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    # Named TCP, as asyncio then sends answers at once: else each may wait 40 ms for an old packet.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A port is free again as soon as nobody listens there; connections that end linger a while.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(MOST_CONNECTIONS)
    except BaseException:
        found.close()
        raise
    return found


def _next_free(family: socket.AddressFamily, host: str, port: int) -> int | None:
    for candidate in range(port + 1, min(port + 1 + PORTS_TRIED, 1 << 16)):
        try:
            _bound(family, host, candidate).close()
        except OSError:
            continue
        return candidate
    return None


@contextmanager
def _running(app: object, listening: socket.socket) -> Iterator[None]:
    import uvicorn  # noqa: PLC0415 - an extra

    from glnet.viewing.patience import PatientProtocol  # noqa: PLC0415 - needs it

    server = uvicorn.Server(
        uvicorn.Config(
            app,  # type: ignore[arg-type]
            loop="asyncio",
            http=PatientProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            h11_max_incomplete_event_size=MOST_HEADER_BYTES,
            timeout_graceful_shutdown=1,
        )
    )
    thread = Thread(target=server.run, args=([listening],), name="glnet-server", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
