"""The page in a real browser: it opens from disk, asks for nothing and fits a phone."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from glnet.reporting.writing import write_report
from tests.reporting.drawn_runs import finish, write_evaluation, write_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium here (Debian: apt-get install chromium)"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = finish(write_run(tmp_path_factory.mktemp("runs") / "run"))
    write_evaluation(folder / "report")
    return write_report(folder)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_page_opens_from_disk(browser: Browser, page_file: Path, scheme: str, width: int) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    told: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))

    page.goto(page_file.as_uri())

    assert told == []
    assert [of for of in asked if not of.startswith("data:")] == [page_file.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    shown = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
    assert page.evaluate(shown)
    assert page.locator("svg").count() == 16
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    line = page.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert line == page.evaluate("getComputedStyle(document.body).color")
    context.close()


def test_foreign_colours_of_the_drawing_are_all_replaced(page_file: Path) -> None:
    drawn = page_file.read_text().split("<svg", 1)[1].split("Configuration", 1)[0]

    assert "#0072b2" not in drawn
    assert "#010203" not in drawn
    assert "#e6e6e6" not in drawn
