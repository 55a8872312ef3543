"""A real browser without a screen, and what it says of a page."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, Request, sync_playwright

from glnet.viewing.serving import Address

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)

NEEDS_BROWSER = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"
)

FLAGS = [
    *("--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--no-first-run", "--force-color-profile=srgb"),
]

PATIENCE_MS = 60_000


@contextmanager
def started() -> Iterator[Browser]:
    """Chromium as the system has it."""
    # Its sandbox does not start for root, whose machine this is then in a test.
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page, and all that went wrong on it.

    Args:
        page: Open, without an address yet.
        address: Where it shall go.
    """

    def __init__(self, page: Page, address: Address) -> None:
        self.page, self.address = page, address
        self.complaints: list[str] = []
        self.tiles = 0
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: self._complain(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._note)

    def _complain(self, kind: str, text: str) -> None:
        if kind == "error":
            self.complaints.append(text)

    def _note(self, request: Request) -> None:
        self.tiles += "/tiles/" in request.url
        here = f"http://{self.address.host}:{self.address.port}/"
        if not request.url.startswith((here, "blob:", "data:")):
            self.complaints.append(f"left the machine: {request.url}")

    def go(self, view: str = "") -> None:
        """Open the printed address, with a view, and wait until all of it is there."""
        self.page.goto(self.address.url + view)
        self.until("document.title !== 'glnet view'")
        self.settle()

    def settle(self) -> None:
        """Wait until nothing moves and no tile is missing."""
        self.page.wait_for_timeout(100)
        self.until("document.getElementById('viewer').ariaBusy === 'false'")
        self.page.wait_for_timeout(300)  # The address follows a little later.
        self.until("document.getElementById('viewer').ariaBusy === 'false'")

    def until(self, condition: str) -> None:
        """Wait for something of the page, said in JavaScript."""
        # Playwright's own waiting needs eval, which the page's policy forbids.
        end = time.monotonic() + PATIENCE_MS / 1000
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, condition
            self.page.wait_for_timeout(30)

    @property
    def shot(self) -> NDArray[np.uint8]:
        """What the image's part of the page shows, (height, width, 3)."""
        picture = self.page.locator("#stage").screenshot()
        return np.asarray(Image.open(BytesIO(picture)).convert("RGB"))

    def text(self, selector: str) -> str:
        """What something says."""
        return self.page.locator(selector).inner_text()

    def pixel(self, row: float, column: float, x: float, y: float, zoom: float) -> tuple[int, int]:
        """Where the middle of an image's pixel is on the stage: (down, right).

        Args:
            row: Of the pixel.
            column: Likewise.
            x: The image's column in the middle of the stage.
            y: Its row there.
            zoom: Screen pixels per pixel.
        """
        frame = self.page.locator("#stage").bounding_box()
        assert frame is not None
        down = frame["height"] / 2 + (row + 0.5 - y) * zoom
        right = frame["width"] / 2 + (column + 0.5 - x) * zoom
        return int(down), int(right)

    def click(self, row: float, column: float, x: float, y: float, zoom: float) -> None:
        """Click the middle of an image's pixel."""
        down, right = self.pixel(row, column, x, y, zoom)
        self.page.locator("#viewer").click(position={"x": right + 0.5, "y": down + 0.5})


Open = Callable[..., Visit]
