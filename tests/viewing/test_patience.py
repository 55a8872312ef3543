"""Connections that ask for nothing take nobody's room."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from glnet.raster import write_picture
from glnet.viewing import patience, serving
from glnet.viewing.finding import ImageFiles
from glnet.viewing.gallery import Gallery
from glnet.viewing.shown_image import Showing, ShownImage
from tests.inference.pictures import picture
from tests.viewing.served import NEEDS_PAGE, PATIENCE_S, Client, served

pytestmark = NEEDS_PAGE

HEAD = b"GET /api/images HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A server that is soon impatient."""
    monkeypatch.setattr(patience, "PATIENCE_S", 0.2)
    write_picture(tmp_path / "a.jpg", picture(60, 80))
    gallery = Gallery([ImageFiles(image=tmp_path / "a.jpg")], Showing())
    with served(gallery) as client:
        yield client


def connected(client: Client) -> socket.socket:
    address = client.address
    return socket.create_connection((address.host, address.port), timeout=PATIENCE_S)


def all_of(connection: socket.socket) -> bytes:
    """What comes until the connection is closed."""
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("sent", [b"", b"G", HEAD])
def test_a_connection_without_a_whole_request_is_closed(sent: bytes, client: Client) -> None:
    with connected(client) as connection:
        connection.sendall(sent)

        assert all_of(connection) == b""


def test_a_connection_that_begins_a_second_request_is_closed(client: Client) -> None:
    with connected(client) as connection:
        token = f"Authorization: Bearer {client.address.token}\r\n\r\n".encode()
        connection.sendall(HEAD + token)
        answer = connection.recv(1 << 16)
        while not answer.endswith(b"}"):
            answer += connection.recv(1 << 16)
        connection.sendall(b"G")  # With this byte, uvicorn's own patience has no end.

        assert all_of(connection) == b""


def test_who_has_no_token_keeps_no_connection(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_S", PATIENCE_S)

    with connected(client) as connection:
        connection.sendall(2 * (HEAD + b"\r\n"))
        answer = all_of(connection)

    assert answer.count(b"HTTP/1.1 401") == 1
    assert b"connection: close" in answer


def test_there_is_room_again_after_a_flood_of_connections(client: Client) -> None:
    with ExitStack() as stack:
        crowd = [
            stack.enter_context(connected(client)) for _ in range(serving.MOST_CONNECTIONS + 1)
        ]
        for connection in crowd:
            assert all_of(connection) == b""

        assert client.ask("/api/images").status == 200


def test_an_answer_that_takes_long_is_waited_for(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, real = threading.Event(), ShownImage.layer

    def held_up(self: ShownImage, number: int) -> object:
        assert gate.wait(PATIENCE_S)
        return real(self, number)

    monkeypatch.setattr(ShownImage, "layer", held_up)
    with connected(client) as connection:
        token = f"Authorization: Bearer {client.address.token}\r\n"
        question = HEAD.decode().replace("images", "images/0/tiles/0/0/0/0")
        connection.sendall(f"{question}{token}Connection: close\r\n\r\n".encode())
        for _ in range(3):  # Who came later, and asks for nothing, has been sent away.
            with connected(client) as other:
                assert all_of(other) == b""
        gate.set()

        assert all_of(connection).startswith(b"HTTP/1.1 200 OK")
