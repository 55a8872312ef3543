"""How fast `glnet view` shows a scene of 20,000 pixels a side, and what its server holds.

    python -m benchmarks.view [--side 20000] [--tiles 2000] [--keep FOLDER]

Draws a DEFLATE GeoTIFF of tiles of 512, with and without overviews, and a label map. Starts the
command, opens its page in Chromium, and asks for tiles at random places and zooms, none twice,
while the server's memory is read. Writes a dated file into benchmarks/results.
"""

import argparse
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import rasterio
from playwright.sync_api import sync_playwright

from benchmarks.common import heading, mebibytes, natural, paragraph, table, write_result
from benchmarks.thumbnail import add_overviews, draw_noise
from glnet.geometry import Size, strips
from glnet.raster import LabelWriter
from glnet.raster.gdal import gdal_settings
from glnet.viewing.pyramid import TILE, zooms_of

CLASSES = 7
CELL = 37
"""Pixels of a side that have one label."""

LAYERS = ("image", "labels")
ABOUT = """A GeoTIFF of {side} x {side} pixels, 3 bands, DEFLATE, tiles of 512, and labels as
glnet segment writes them. Seconds in the browser count from the opening of the address; the page
is 1600 x 1000. Tiles are asked for one after another, no tile twice, from all zooms; without
overviews, while the copies are being made."""

AT_ONCE = 100
"""Tiles between two looks at the server's memory."""


@dataclass(frozen=True)
class Measured:
    """What one scene took.

    Attributes:
        command_s: From the command to its printed address.
        first_s: From there, in the browser, until something of the image is seen.
        whole_s: Until all that is in sight is there at its zoom.
        full_s: From a key until the middle is there at full resolution.
        tiles_ms: Of every tile, by layer and zoom.
        memory: Of the server: at the start, with the page seen, after every `AT_ONCE` tiles.
    """

    command_s: float
    first_s: float
    whole_s: float
    full_s: float
    tiles_ms: dict[tuple[str, int], list[float]]
    memory: list[int]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=natural, default=20_000)
    parser.add_argument("--tiles", type=natural, default=2000)
    parser.add_argument("--keep", type=Path, help="where the drawn files stay, or lie already")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        layered, plain, labels = draw(folder, options.side)
        found = {
            "with overviews": measured(layered, labels, options.side, options.tiles),
            "without": measured(plain, labels, options.side, options.tiles // 4),
        }
    write_result("view", report(options.side, found))


def draw(folder: Path, side: int) -> tuple[Path, Path, Path]:
    """The scene with overviews, without them, and its labels."""
    layered, plain = folder / "overviews.tif", folder / "plain.tif"
    labels = folder / "labels.tif"
    if not labels.exists():
        draw_noise(plain, side)
        shutil.copy(plain, layered)
        factors = [of for of in (2, 4, 8, 16, 32, 64) if side // of >= TILE]
        with gdal_settings(), rasterio.Env(COMPRESS_OVERVIEW="DEFLATE"):
            add_overviews(layered, factors)
        draw_labels(labels, side)
    return layered, plain, labels


def draw_labels(path: Path, side: int) -> None:
    """Squares of random classes."""
    rng = np.random.default_rng(0)
    size = Size(side, side)
    colors = [(of * 30, 200 - of * 20, of * 70 % 255) for of in range(CLASSES)]
    with LabelWriter(path, size, None, colors, [f"class {of}" for of in range(CLASSES)]) as writer:
        for strip in strips(size, CELL):
            cells = rng.integers(0, CLASSES, -(-side // CELL), np.uint8)
            writer.write(np.tile(cells.repeat(CELL)[:side], (strip.size.height, 1)))


def measured(image: Path, labels: Path, side: int, tiles: int) -> Measured:
    """Start the command, look at its page, ask for tiles."""
    began = time.perf_counter()
    with viewed(image, labels) as (process, url):
        command_s = time.perf_counter() - began
        before = resident_bytes(process.pid)
        first_s, whole_s, full_s = looked_at(url)
        times, memory = asked(process.pid, url, side, tiles)
    return Measured(command_s, first_s, whole_s, full_s, times, [before, *memory])


@contextmanager
def viewed(image: Path, labels: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address that it prints."""
    words = [sys.executable, "-m", "glnet.cli.main", "view", str(image), "--labels", str(labels)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def looked_at(url: str) -> tuple[float, float, float]:
    """Seconds until something is seen, until all in sight is there, and to full resolution."""
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        began = time.perf_counter()
        page.goto(url, wait_until="commit")
        until(
            page.evaluate,
            "(performance.getEntriesByType('resource').some("
            "of => of.name.includes('/tiles/0/') && of.responseEnd > 0))",
        )
        first_s = time.perf_counter() - began
        until(page.evaluate, "document.getElementById('viewer')?.ariaBusy === 'false'")
        whole_s = time.perf_counter() - began
        began = time.perf_counter()
        page.keyboard.press("1")
        until(page.evaluate, "document.getElementById('place').textContent.includes(', 100 %')")
        until(page.evaluate, "document.getElementById('viewer').ariaBusy === 'false'")
        full_s = time.perf_counter() - began
        browser.close()
    return first_s, whole_s, full_s


def until(evaluate: object, condition: str) -> None:
    """Ask a page until it says yes."""
    assert callable(evaluate)
    while not evaluate(condition):
        time.sleep(0.01)


def asked(
    pid: int, url: str, side: int, tiles: int
) -> tuple[dict[tuple[str, int], list[float]], list[int]]:
    """Milliseconds of tiles at random places, none twice; and the memory meanwhile."""
    found = re.fullmatch(r"http://(.*):(\d+)/\?token=(.*)", url)
    assert found is not None
    connection = HTTPConnection(found[1], int(found[2]))
    headers = {"Authorization": f"Bearer {found[3]}"}
    places = all_places(side)
    random.Random(0).shuffle(places)
    times: dict[tuple[str, int], list[float]] = {}
    memory = [resident_bytes(pid)]
    for number, (layer, zoom, row, column) in enumerate(places[:tiles], start=1):
        began = time.perf_counter()
        connection.request(
            "GET", f"/api/images/0/tiles/{layer}/{zoom}/{row}/{column}", headers=headers
        )
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        spent = 1000 * (time.perf_counter() - began)
        times.setdefault((LAYERS[layer], zoom), []).append(spent)
        if number % AT_ONCE == 0:
            memory.append(resident_bytes(pid))
    return times, memory


def all_places(side: int) -> list[tuple[int, int, int, int]]:
    """Every tile; of a zoom with many, so many that each zoom has its turn."""
    rng = random.Random(1)
    places = []
    for layer in range(len(LAYERS)):
        for zoom in range(zooms_of(Size(side, side))):
            along = range(-(-side // (TILE << zoom)))
            every = [(layer, zoom, row, column) for row in along for column in along]
            places += rng.sample(every, min(len(every), 400))
    return places


def resident_bytes(pid: int) -> int:
    """What a process holds now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(of.split()[1]) * 1024 for of in lines if of.startswith("VmRSS"))


def report(side: int, found: dict[str, Measured]) -> str:
    """The result."""
    starts = [
        [name, *(f"{of_s:.2f}" for of_s in (of.command_s, of.first_s, of.whole_s, of.full_s))]
        for name, of in found.items()
    ]
    rows = [
        [name, layer, 1 << zoom, len(times), *quantiles(times)]
        for name, of in found.items()
        for (layer, zoom), times in sorted(of.tiles_ms.items())
    ]
    totals = [
        [name, *quantiles([ms for times in of.tiles_ms.values() for ms in times])]
        for name, of in found.items()
    ]
    columns = ["median, ms", "95 of 100 within, ms", "slowest, ms"]
    parts = [
        heading("A page on a large scene", ("starlette", "uvicorn", "rasterio", "playwright")),
        paragraph(ABOUT.format(side=side)),
        table(
            [
                "scene",
                "command prints its address, s",
                "first tile, s",
                "all in sight, s",
                "zoomed to full resolution, s",
            ],
            starts,
        ),
        table(["scene", *columns], totals),
        table(["scene", "layer", "times smaller", "tiles", *columns], rows),
        f"The server's memory, MiB: at the start, with the page seen, after every {AT_ONCE} tiles.",
        *[f"{name}: {', '.join(map(mebibytes, of.memory))}" for name, of in found.items()],
    ]
    return "\n\n".join(parts) + "\n"


def quantiles(times: list[float]) -> list[str]:
    """The median, what 95 of 100 are within, and the most."""
    ordered = sorted(times)
    high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return [f"{of:.0f}" for of in (statistics.median(ordered), high, ordered[-1])]


if __name__ == "__main__":
    main()
