"""Peak memory and seconds of reading a huge JPEG and PNG: decoded whole, or spooled to tiles.

    python -m benchmarks.spooling [--side 20000]

Every case runs in a process of its own. Writes a dated file into benchmarks/results.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.common import ask, heading, mebibytes, natural, table, write_result
from glnet.geometry import Size, Window, blocks
from glnet.inference.machine import peak_host_bytes, resident_host_bytes
from glnet.raster import open_raster, spooled

PATCH = 508
WAYS = ("whole", "spooled")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=natural, default=20_000)
    parser.add_argument("--case", nargs=2, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--draw", nargs=2, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.case is not None:
        _case(Path(options.case[0]), options.case[1])
        return
    if options.draw is not None:
        _draw(Path(options.draw[0]), int(options.draw[1]))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        ask("benchmarks.spooling", "--draw", folder, options.side)
        for name in ("photo.jpg", "photo.png"):
            for way in WAYS:
                path = Path(folder) / name
                found = json.loads(ask("benchmarks.spooling", "--case", path, way))
                rows.append([name, mebibytes(path.stat().st_size), way, *found])
                print(rows[-1], flush=True)
    write_result("spooling", _report(options.side, rows))


def _case(path: Path, way: str) -> None:
    began, before = time.perf_counter(), resident_host_bytes() or 0
    with open_raster(path) as file:
        if way == "whole":
            file.read(Window(0, 0, Size(1, 1)))
            made = time.perf_counter()
            for window in blocks(file.size, PATCH):
                file.read(window)
        else:
            with spooled(file, path.parent) as raster:
                made = time.perf_counter()
                for window in blocks(raster.size, PATCH):
                    raster.read(window)
    ended = time.perf_counter()
    peak = (peak_host_bytes() or 0) - before
    print(json.dumps([mebibytes(peak), f"{made - began:.1f}", f"{ended - made:.1f}"]))


def _draw(folder: Path, side: int) -> None:
    drawing = np.random.default_rng(0)
    cells = drawing.integers(0, 256, (-(-side // 32), -(-side // 32), 3), dtype=np.uint8)
    pixels = np.array(Image.fromarray(cells).resize((side, side), Image.Resampling.BICUBIC))
    for row in range(0, side, 1000):
        part = pixels[row : row + 1000]
        part ^= drawing.integers(0, 8, part.shape, dtype=np.uint8)
    Image.MAX_IMAGE_PIXELS = None
    picture = Image.fromarray(pixels)
    picture.save(folder / "photo.jpg", quality=85)
    picture.save(folder / "photo.png", compress_level=1)
    print("drawn")


def _report(side: int, rows: list[list[str]]) -> str:
    columns = ["file", "MiB on disk", "way", "peak memory, MiB", "seconds to decode or copy"]
    return f"""{heading("Huge pictures without random access", ("rasterio", "numpy")).rstrip()}
- baseline JPEG (quality 85) and PNG, {side}x{side}, 8 bits, three bands: \
{mebibytes(3 * side * side)} MiB of pixels
- peak memory is above what the process took before it opened the file

{table([*columns, f"seconds for all patches of {PATCH}"], rows)}
"""


if __name__ == "__main__":
    main()
