from collections.abc import Iterator

import pytest

from glnet.geometry import Size
from glnet.viewing.finding import Named, find_files
from glnet.viewing.gallery import Gallery
from glnet.viewing.shown_image import Showing
from tests.viewing.drawn_files import Drawn, draw_files
from tests.viewing.served import Client, served

SIZE = Size(1100, 1400)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return draw_files(tmp_path_factory.mktemp("drawn"), SIZE)


@pytest.fixture(scope="module")
def client(drawn: Drawn) -> Iterator[Client]:
    """A server that shows all there is."""
    named = Named(labels=drawn.label_file, truth=drawn.truth_file)
    with served(Gallery(find_files([drawn.image], named), Showing())) as client:
        yield client
