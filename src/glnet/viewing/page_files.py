"""The files of the page, read once: requests name them, and never a path."""

from pathlib import Path
from typing import NamedTuple

from glnet.errors import ConfigurationError

PAGE = Path(__file__).parent / "page"

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}

VENDORED = "openseadragon.min.js"
"""Comes from npm; `make page` puts it there, and so does building the wheel."""


class PageFile(NamedTuple):
    """What is sent."""

    data: bytes
    kind: str


def page_files(folder: Path = PAGE) -> dict[str, PageFile]:
    """All files of the page by name.

    Raises:
        ConfigurationError: If the page has not been built.
    """
    own, vendored = folder / "own", folder / "vendor"
    if not (vendored / VENDORED).is_file():
        raise ConfigurationError(
            f"the page is not built: {vendored / VENDORED} is missing; install npm (of Node.js), "
            "then install glnet again, or in the source tree run make page"
        )
    return {
        path.name: PageFile(path.read_bytes(), KINDS[path.suffix])
        for path in sorted([*own.iterdir(), *vendored.iterdir()])
        if path.suffix in KINDS
    }
