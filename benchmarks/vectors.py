"""Memory and time of writing the polygons of label maps.

    python -m benchmarks.vectors [--side 20000] [--least 2000]

Every case runs in a process of its own. The maps are drawn strip by strip, so that nothing of their
size is held; drawing is not timed. Writes a dated file into benchmarks/results.
"""

import argparse
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import ask, heading, mebibytes, natural, paragraph, table, write_result
from glnet.data.smooth_noise import SmoothNoise
from glnet.geometry import Size, Window, strips
from glnet.inference.machine import peak_host_bytes, resident_host_bytes
from glnet.raster import Georeference
from glnet.vector import PolygonWriter

CLASSES = 6
CELL = 512
"""Pixels between the random weights out of which large areas are drawn."""

SPECKLE = 0.005
"""The share of pixels that get a random class."""

STRIP = 64
PLACE = Georeference.north_up(32633, 400_000, 5_000_000, 0.5)

Draw = Callable[[Window], NDArray[np.uint8]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=natural, default=20_000)
    parser.add_argument("--least", type=natural, default=2000)
    parser.add_argument("--case", nargs=3, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case is not None:
        _case(*options.case)
        return
    cases = [
        *(("areas", side, ".gpkg") for side in (options.side // 2, options.side)),
        ("areas", options.side, ".geojson"),
        *(("checkerboard", options.least, suffix) for suffix in (".gpkg", ".geojson")),
        *(("lattice", options.least, suffix) for suffix in (".gpkg", ".geojson")),
        ("lattice", 2 * options.least, ".gpkg"),
    ]
    rows = []
    for case in cases:
        rows.append([*case, *json.loads(ask("benchmarks.vectors", "--case", *case))])
        print(rows[-1], flush=True)
    write_result("vectors", _report(rows))


def _case(kind: str, side: str, suffix: str) -> None:
    size = Size(int(side), int(side))
    draw = {"areas": areas, "checkerboard": checkerboard, "lattice": lattice}[kind](size)
    with tempfile.TemporaryDirectory() as folder:
        _timed(Path(folder) / f"small{suffix}", Size(8, 8), checkerboard(Size(8, 8)))
        before = resident_host_bytes()
        path = Path(folder) / f"polygons{suffix}"
        seconds = _timed(path, size, draw)
        peak = peak_host_bytes()
        assert peak is not None
        assert before is not None
        memory = mebibytes(peak - before)
        words = [f"{seconds:.0f}", memory, mebibytes(path.stat().st_size), *_contents(path)]
    print(json.dumps(words))


def _timed(path: Path, size: Size, draw: Draw) -> float:
    """Seconds of writing alone."""
    seconds = 0.0
    with PolygonWriter(path, size, PLACE) as writer:
        for strip in strips(size, STRIP):
            labels = draw(strip)
            began = time.perf_counter()
            writer.write(labels)
            seconds += time.perf_counter() - began
        began = time.perf_counter()
    return seconds + time.perf_counter() - began


def _contents(path: Path) -> list[str]:
    """How many polygons there are, and how many points the largest has."""
    if path.suffix != ".gpkg":
        with path.open() as file:
            count = sum(line.startswith('{"type": "Feature",') for line in file)
        return [f"{count:,}", ""]
    with closing(sqlite3.connect(path)) as file:
        count, largest = file.execute("SELECT count(*), max(length(geom)) FROM polygons").fetchone()
    return [f"{count:,}", f"{largest // 16:,}"]


# What is drawn


def areas(size: Size) -> Draw:
    """Large areas with wavy borders, and speckle."""
    drawing = np.random.default_rng(0)
    noise = SmoothNoise.draw(drawing, 1, max(1, size.width // CELL), deviation=CLASSES / 4)

    def draw(window: Window) -> NDArray[np.uint8]:
        rows, columns = (
            np.asarray(np.arange(of.start, of.stop) / size.width, np.float32)
            for of in window.slices
        )
        values = noise.sample(rows, columns)[0] + CLASSES / 2
        labels = np.asarray(np.clip(values, 0, CLASSES - 1).astype(np.uint8))
        is_speckle = drawing.random(labels.shape, np.float32) < SPECKLE
        count = int(np.count_nonzero(is_speckle))
        labels[is_speckle] = drawing.integers(0, CLASSES, count, dtype=np.uint8)
        return labels

    return draw


def checkerboard(size: Size) -> Draw:
    """A polygon per pixel."""
    columns = np.arange(size.width)

    def draw(window: Window) -> NDArray[np.uint8]:
        rows = np.arange(window.row, window.row_stop)[:, np.newaxis]
        return np.asarray((rows + columns) % 2, np.uint8)

    return draw


def lattice(size: Size) -> Draw:
    """One polygon that fills the map, with a hole for every fourth pixel."""
    columns = np.arange(size.width)

    def draw(window: Window) -> NDArray[np.uint8]:
        rows = np.arange(window.row, window.row_stop)[:, np.newaxis]
        return np.asarray(rows % 2 * (columns % 2), np.uint8)

    return draw


def _report(rows: list[list[object]]) -> str:
    columns = ["map", "side", "file", "seconds", "peak, MiB", "file, MiB", "polygons"]
    text = f"""
        `PolygonWriter` fed with {STRIP} rows at a time, uint8. *areas*: {CLASSES} classes with wavy
        borders, {CELL} px between random weights, {100 * SPECKLE:g} % of the pixels of a random
        class. *checkerboard*: a polygon per pixel. *lattice*: one polygon with a hole at every
        fourth pixel, and the polygons in the holes. Peak: the most that the process ever held, less
        what it held once a map of 8x8 had been written (libraries are loaded by then). Seconds:
        writing alone, without drawing, one run. GeoJSON is reprojected from UTM. Points: of the
        largest polygon.
    """
    lines = [[kind, f"{side}", suffix, *rest] for kind, side, suffix, *rest in rows]
    return f"""{heading("Polygons of label maps", ("numpy", "shapely", "pyogrio"))}
{paragraph(text)}

{table([*columns, "points"], lines)}
"""


if __name__ == "__main__":
    main()
