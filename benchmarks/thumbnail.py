"""Seconds that a thumbnail of a huge tiled file takes: with and without its overviews.

    python -m benchmarks.thumbnail [--side 24000] [--rounds 3]

Draws a DEFLATE GeoTIFF of tiles of 512, and adds overviews to a copy. Beside the streamed pass:
decoding every tile once and doing nothing with it, and GDAL's own reading at another size
(rasterio's ``out_shape``), which is not the same picture. Writes a dated file into
benchmarks/results.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.windows import Window

from benchmarks.common import (
    heading,
    interleaved,
    mebibytes,
    natural,
    ratios,
    spread,
    table,
    write_result,
)
from glnet.geometry import Size, blocks
from glnet.raster import CACHE_BYTES, open_raster, shrunk
from glnet.raster.gdal import gdal_settings

TILE = 512
CELL = 16
"""Pixels of a side that are alike but for noise, so that drawing takes little time."""

THUMBNAIL = Size(508, 508)
DECODING = "every tile decoded once, nothing else"
STREAMED = "streamed, without overviews"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=natural, default=24_000)
    parser.add_argument("--rounds", type=natural, default=3)
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        plain, layered = Path(folder) / "plain.tif", Path(folder) / "overviews.tif"
        draw_noise(plain, options.side)
        shutil.copy(plain, layered)
        factors = [of for of in (2, 4, 8, 16, 32, 64) if options.side // of >= TILE]
        with gdal_settings(), rasterio.Env(COMPRESS_OVERVIEW="DEFLATE"):
            add_overviews(layered, factors)
        with open_raster(layered) as raster:
            used = shrunk(raster, THUMBNAIL).overview
        seconds = interleaved(_runs(plain, layered), options.rounds)
    write_result("thumbnail", _report(options.side, seconds, used))


def add_overviews(path: Path, factors: list[int]) -> None:
    with rasterio.open(path, "r+") as file:
        file.build_overviews(factors, Resampling.average)


def _runs(plain: Path, layered: Path) -> dict[str, Callable[[], object]]:
    return {
        DECODING: lambda: _decode(plain),
        STREAMED: lambda: _thumbnail(plain),
        "with overviews": lambda: _thumbnail(layered),
        "rasterio, average, without overviews": lambda: _decimated(plain, Resampling.average),
        "rasterio, nearest, without overviews": lambda: _decimated(plain, Resampling.nearest),
    }


def _decode(path: Path) -> None:
    with open_raster(path) as raster:
        for window in blocks(raster.size, TILE):
            raster.read(window)


def _thumbnail(path: Path) -> None:
    with open_raster(path) as raster:
        shrunk(raster, THUMBNAIL)


def _decimated(path: Path, how: Resampling) -> None:
    with gdal_settings(), rasterio.open(path) as file:
        file.read(out_shape=(3, THUMBNAIL.height, THUMBNAIL.width), resampling=how)


def draw_noise(path: Path, side: int) -> None:
    drawing = np.random.default_rng(0)
    kind = {"driver": "GTiff", "count": 3, "dtype": "uint8", "height": side, "width": side}
    tiles = {"tiled": True, "blockxsize": TILE, "blockysize": TILE, "interleave": "pixel"}
    packed = {"compress": "deflate", "zlevel": 1, "bigtiff": "yes", "photometric": "rgb"}
    with gdal_settings(), rasterio.open(path, "w", **kind, **tiles, **packed) as file:
        for row in range(0, side, TILE):
            height = min(TILE, side - row)
            shape = (3, -(-height // CELL), -(-side // CELL))
            cells = drawing.integers(0, 255, shape, dtype=np.uint8)
            strip = cells.repeat(CELL, axis=1).repeat(CELL, axis=2)[:, :height, :side]
            noise = drawing.integers(0, 8, strip.shape, dtype=np.uint8)
            file.write(strip ^ noise, window=Window(0, row, side, height))


def _report(side: int, seconds: dict[str, list[float]], used: int | None) -> str:
    rows = [
        [name, spread(of), spread(ratios(of, seconds[STREAMED]))] for name, of in seconds.items()
    ]
    title = f"A thumbnail of {THUMBNAIL} of a raster of {side}x{side}"
    return f"""{heading(title, ("rasterio", "pillow", "numpy")).rstrip()}
- the file: 8 bits, three bands, DEFLATE, tiles of {TILE}; GDAL {rasterio.__gdal_version__}, \
which keeps {mebibytes(CACHE_BYTES)} MiB of decoded tiles, as glnet sets it: less than a row of \
tiles of a wide raster
- overview that was used: {"none" if used is None else f"1/{used}"}

{table(["way", "seconds", "over the streamed pass"], rows)}
"""


if __name__ == "__main__":
    main()
