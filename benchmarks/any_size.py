"""Whether memory, and time per megapixel, stay the same for any size of the image.

    python -m benchmarks.any_size [--sides 5000 20000] [--ways whole region results] [--threads 2]

Drawn scenes, tiled GeoTIFFs, are segmented by a small network, each in a process of its own, from
opening the model's folder to the results on disk. ``whole`` sees the whole image in its thumbnail,
``region`` regions of 2448 px, ``results`` does so and writes confidences and polygons as well.
Scenes are parted by lines without measurement, so that polygons are as large in all of them: the
largest one is held in memory (benchmarks/vectors.py measures what it takes).
Memory is the most that the process held of its own (without pages of files) above what it held once
the model was open. What a batch of patches takes hangs on where the heap had room for it, so that a
short run, which has few, is repeated. Writes a dated file into benchmarks/results.
"""

import argparse
import json
import resource
import tempfile
import threading
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.windows import Window

from benchmarks.common import ask, heading, paragraph, spread, table, write_result
from glnet.data import ClassInfo
from glnet.geometry import Size
from glnet.inference.heap import share_one_heap
from glnet.inference.jobs import Extras
from glnet.inference.machine import PROCESS_STATUS
from glnet.inference.regions import RegionRule
from glnet.inference.segment import segment, segment_file
from glnet.inference.settings import Settings
from glnet.inference.starting import Rules
from glnet.model.checkpoint import Model, new_model, open_model, save_model
from glnet.model.config import Architecture, Framing, ModelConfig, TrainingExtent
from glnet.raster import open_raster
from glnet.raster.gdal import gdal_settings
from glnet.raster.protocol import whole

CLASSES = tuple(ClassInfo(f"class {k}", (80 * k, 255 - 80 * k, 128)) for k in range(3))
EXTENT = Size(2448, 2448)
CELL = 128
"""Pixels of a side that are alike, so that drawing takes little time and polygons stay few."""

FIELD, GAP, NOTHING = 2048, 8, 0
"""Pixels between two lines without measurement, their width, and the value that says so."""

SECONDS_BETWEEN_LOOKS = 0.004

MOST_RUNS, REPEATED_PIXELS = 5, 200_000_000
"""An image is segmented so often, or as often as makes so many pixels."""

FIRST_STEP, SHORTER, STEPS = 0.05, 0.82, 25
"""Of the biases, until classes are balanced."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[5000, 20_000])
    parser.add_argument("--ways", nargs="+", default=["whole", "region", "results"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--folder", type=Path, help="where scenes and results go meanwhile")
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.case is not None:
        _case(*options.case)
        return
    rows: list[list[dict[str, float]]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        save_model(small_model(), Path(folder) / "model")
        for side in options.sides:
            draw_scene(Path(folder) / "scene.tif", side)
            for way in options.ways:
                words = ["--threads", options.threads, "--case", folder, side, way, "case"]
                runs = min(MOST_RUNS, max(1, REPEATED_PIXELS // side**2))
                rows.append([json.loads(ask("benchmarks.any_size", *words)) for _ in range(runs)])
                print(rows[-1], flush=True)
                write_result("any-size", _report(rows))  # A stop loses one image.


def own_bytes() -> int:
    """What the process holds of its own: no pages of files, which come and go."""
    for line in PROCESS_STATUS.read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("this system does not say what a process holds of its own")


class Watch(threading.Thread):
    """Looks at `own_bytes` all the time."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ends = threading.Event()
        self.most = own_bytes()

    def run(self) -> None:
        """Until it is told to end."""
        while not self.ends.wait(SECONDS_BETWEEN_LOOKS):
            self.most = max(self.most, own_bytes())


def _case(folder: str, side: str, way: str, name: str) -> None:
    share_one_heap()
    open_model(Path(folder) / "model")
    before, spent, watch = own_bytes(), _cpu_seconds(), Watch()
    watch.start()
    rule = RegionRule("whole") if way == "whole" else RegionRule("region")
    has_all = way == "results"
    report = segment_file(
        Path(folder) / "scene.tif",
        Path(folder) / f"{name}.tif",
        Path(folder) / "model",
        Settings(regions=rule),
        extras=Extras(confidence=has_all, vector=".gpkg" if has_all else None),
        rules=Rules(overwrite=True),
    )
    watch.ends.set()
    watch.join()
    values = {
        "side": int(side),
        "way": way,
        "mib": (watch.most - before) / 2**20,
        "seconds": report.seconds,
        "cpu_seconds": _cpu_seconds() - spent,
        "context": report.context,
    }
    print(json.dumps(values))


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def small_model() -> Model:
    """Untrained, for patches that cover 1024 px."""
    torch.manual_seed(0)
    config = ModelConfig(
        classes=CLASSES,
        architecture=Architecture(backbone="test_resnet", fpn_width=32, refined_width=16),
        framing=Framing(patch_size=256, thumbnail_size=256, overlap=32, reduction=4),
        training_extent=TrainingExtent(smallest=EXTENT, largest=EXTENT),
    )
    return _balanced(new_model(config))


def _balanced(model: Model) -> Model:
    """Biases for which classes are equally frequent."""
    with tempfile.TemporaryDirectory() as folder:
        draw_scene(Path(folder) / "sample.tif", EXTENT.height)
        with open_raster(Path(folder) / "sample.tif") as file:
            sample = file.read(whole(file))
    pixels = np.moveaxis(sample, 0, -1)
    assert model.network.aggregation is not None
    bias = dict(model.network.aggregation.named_parameters())["bias"]
    for step in FIRST_STEP * SHORTER ** np.arange(STEPS):
        labels = segment(pixels, model)
        shares = np.bincount(labels.ravel(), minlength=len(CLASSES)) / labels.size
        beyond = np.clip(np.log(len(CLASSES) * shares + 1e-3), -1, 1)
        with torch.no_grad():
            bias.sub_(torch.from_numpy(step * beyond).float())
    return model


def draw_scene(path: Path, side: int) -> None:
    """A square GeoTIFF of tiles, in colours that change every `CELL` pixels, in fields."""
    drawing, rows = np.random.default_rng(0), 512
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    kind = {"driver": "GTiff", "count": 3, "dtype": "uint8", "nodata": NOTHING}
    kind |= {"height": side, "width": side}
    with gdal_settings(), rasterio.open(path, "w", **kind, **tiles, bigtiff="if_safer") as file:
        for row in range(0, side, rows):
            height = min(rows, side - row)
            shape = (3, -(-height // CELL), -(-side // CELL))
            cells = drawing.integers(1, 256, shape, dtype=np.uint8)
            strip = cells.repeat(CELL, axis=1).repeat(CELL, axis=2)[:, :height, :side].copy()
            strip[:, np.arange(row, row + height) % FIELD < GAP] = NOTHING
            strip[:, :, np.arange(side) % FIELD < GAP] = NOTHING
            file.write(strip, window=Window(0, row, side, height))


def _report(rows: list[list[dict[str, float]]]) -> str:
    cells = []
    for runs in rows:
        side, area = int(runs[0]["side"]), runs[0]["side"] ** 2 / 1e6
        seconds, cpu = ([of[name] / area for of in runs] for name in ("seconds", "cpu_seconds"))
        cells.append(
            [
                f"{side}x{side}",
                runs[0]["way"],
                runs[0]["context"],
                len(runs),
                spread([of["mib"] for of in runs], 0),
                spread(seconds, 3),
                spread(cpu, 3),
            ]
        )
    text = paragraph(
        "test_resnet, pyramid 32/16, patches of 256 px that cover 1024 px, 3 classes, 4 patches at "
        "once, not trained, biases set so that classes are equally frequent; drawn scenes of "
        "fields of 2048 px between lines without measurement. Memory: the most that the process "
        "held of its own above what it held once the model was open; medians (range) where an "
        "image was segmented more than once. Where other work shares the cores, seconds are "
        "longer, those of the CPU less."
    )
    columns = (
        "image",
        "way",
        "context",
        "runs",
        "MiB",
        "s per megapixel",
        "CPU s per megapixel",
    )
    return f"{heading('Images of any size')}\n{text}\n\n{table(columns, cells)}\n"


if __name__ == "__main__":
    main()
