"""What whole runs of a segmentation take in host memory, beside what was estimated.

    python -m benchmarks.host [--sides 2448 20000] [--backbones resnet50 ...] [--most 2448]
        [--precisions float32 bfloat16]

Every case runs in a process of its own, from opening the model's folder to the label map on disk;
images are tiled GeoTIFFs that are drawn first. ResNet-50 has the paper's sizes, the others are
small; only timm's ``test_resnet`` sees images over ``--most`` px a side. The terms that the
estimate fits (`glnet.inference.host_memory`) were fitted to such cases. Writes a dated file into
benchmarks/results.
"""

import argparse
import json
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.windows import Window

from benchmarks.common import ask, heading, write_result
from glnet.data import ClassInfo
from glnet.geometry import Size
from glnet.inference.estimate import estimate
from glnet.inference.heap import share_one_heap
from glnet.inference.host_memory import program_bytes
from glnet.inference.machine import peak_host_bytes
from glnet.inference.segment import segment_file
from glnet.inference.settings import Precision, Settings
from glnet.inference.starting import Rules
from glnet.model.checkpoint import new_model, open_model, save_model
from glnet.model.config import Architecture, Framing, ModelConfig
from glnet.raster.gdal import gdal_settings

CLASSES = tuple(ClassInfo(f"class {k}", (30 * k, 255 - 30 * k, 128)) for k in range(7))
PAPER, TINY = "resnet50", "test_resnet"
CELL = 16
"""Pixels of a side that are alike, so that drawing takes little time."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[2448, 20_000])
    parser.add_argument("--backbones", nargs="+", default=[PAPER, "resnet18", "test_resnet"])
    parser.add_argument("--most", type=int, default=2448)
    parser.add_argument("--precisions", nargs="+", default=["float32"])
    parser.add_argument("--case", nargs=6, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case is not None:
        _case(*options.case)
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for side in options.sides:
            draw(Path(folder) / f"{side}.tif", side)
        for backbone in options.backbones:
            save(backbone, Path(folder) / backbone)
            sides = [of for of in options.sides if backbone == TINY or of <= options.most]
            for side, precision in product(sides, options.precisions):
                for batch, keeps in ((1, False), (1, True), (4, True), (8, True), (8, False)):
                    words = ["--case", folder, backbone, side, batch, int(keeps), precision]
                    rows.append(json.loads(ask("benchmarks.host", *words)))
                    print(rows[-1], flush=True)
    write_result("host", _table(rows))


def _case(
    folder: str, backbone: str, side: str, batch: str, keeps: str, precision: Precision
) -> None:
    settings = Settings(patch_batch=int(batch), keeps_weights=bool(int(keeps)), precision=precision)
    model = Path(folder) / backbone
    share_one_heap()  # As `glnet segment` does.
    known = open_model(model).model
    before = program_bytes()
    image, output = Path(folder) / f"{side}.tif", Path(folder) / "labels.tif"
    segment_file(image, output, model, settings, rules=Rules(overwrite=True))
    peak = peak_host_bytes()
    assert peak is not None
    expected = estimate(known, Size(int(side), int(side)), settings, counts=False)
    mib = 2**20
    values = {
        "backbone": backbone,
        "side": int(side),
        "batch": int(batch),
        "keeps": bool(int(keeps)),
        "precision": precision,
        "tensors": expected.device_bytes / mib,
        "estimated": (expected.host_bytes - expected.program_bytes) / mib,
        "measured": (peak - before) / mib,
        "program": before / mib,
    }
    print(json.dumps(values))


def save(backbone: str, folder: Path) -> None:
    """A model of fresh weights: of the paper's sizes for ResNet-50, else small."""
    torch.manual_seed(0)
    sizes = Architecture(backbone=backbone, fpn_width=64, refined_width=32)
    framing = Framing(patch_size=256, thumbnail_size=256)
    if backbone == PAPER:
        sizes, framing = Architecture(), Framing(patch_size=508, thumbnail_size=508)
    config = ModelConfig(classes=CLASSES, architecture=sizes, framing=framing)
    save_model(new_model(config), folder)


def draw(path: Path, side: int) -> None:
    """A tiled GeoTIFF of noise."""
    drawing, rows = np.random.default_rng(0), 512
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    kind = {"driver": "GTiff", "count": 3, "dtype": "uint8", "height": side, "width": side}
    with gdal_settings(), rasterio.open(path, "w", **kind, **tiles) as file:
        for row in range(0, side, rows):
            height = min(rows, side - row)
            shape = (3, -(-height // CELL), -(-side // CELL))
            cells = drawing.integers(0, 255, shape, dtype=np.uint8)
            strip = cells.repeat(CELL, axis=1).repeat(CELL, axis=2)[:, :height, :side]
            file.write(strip, window=Window(0, row, side, height))


def _table(rows: list[dict[str, float]]) -> str:
    lines = "\n".join(
        f"| {of['backbone']} | {of['side']}x{of['side']} | {of['precision']} | {of['batch']} "
        f"| {'yes' if of['keeps'] else 'no'} | {of['tensors']:.0f} | {of['estimated']:.0f} "
        f"| {of['measured']:.0f} | {of['measured'] / of['estimated']:.2f} |"
        for of in rows
    )
    return f"""{heading("Host memory of whole segmentations").rstrip()}
- all in MiB, above what the program takes by itself, once it has opened a model: \
{rows[0]["program"]:.0f} MiB here

| backbone | image | precision | patches at once | weights stay ready | tensors, estimated \
| host, estimated | host, measured peak | measured over estimated |
|---|---|---|---|---|---|---|---|---|
{lines}
"""


if __name__ == "__main__":
    main()
