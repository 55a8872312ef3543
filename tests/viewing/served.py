"""A server that runs, and a client that sends exactly what it is told to."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from glnet.viewing.gallery import Gallery
from glnet.viewing.job import Job
from glnet.viewing.page_files import PAGE, VENDORED
from glnet.viewing.serving import Address, serving

NEEDS_PAGE = pytest.mark.skipif(
    not (PAGE / "vendor" / VENDORED).is_file(),
    reason="the page is not built (make page, which needs npm)",
)

PATIENCE_S = 60


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the server says
        return json.loads(self.body)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(height, width, 4)."""
        return np.asarray(Image.open(BytesIO(self.body)).convert("RGBA"))


class Client:
    """Somebody who knows the token."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def ask(self, path: str, method: str = "GET", **headers: str | None) -> Reply:
        """Send a request; a header that is None is left out."""
        connection = HTTPConnection(self.address.host, self.address.port, timeout=PATIENCE_S)
        usual = {"Host": f"127.0.0.1:{self.address.port}"}
        usual["Authorization"] = f"Bearer {self.address.token}"
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in (usual | given).items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        finally:
            connection.close()

    def post(self, path: str) -> Reply:
        """As the page does it."""
        return self.ask(path, "POST", Origin=f"http://127.0.0.1:{self.address.port}")

    def tile(self, layer: int, zoom: int, row: int, column: int, query: str = "") -> Reply:
        """Of the first image."""
        return self.ask(f"/api/images/0/tiles/{layer}/{zoom}/{row}/{column}{query}")


@contextmanager
def served(gallery: Gallery, job: Job | None = None) -> Iterator[Client]:
    """A gallery on a free port."""
    with serving(gallery, job=job) as address:
        yield Client(address)
