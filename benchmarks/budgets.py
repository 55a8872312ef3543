"""What commands take of host memory, where they are told the least that would do.

    python -m benchmarks.budgets [--backbones test_resnet ...] [--ways plain overlay ...]
        [--precisions float32 bfloat16]

Every case asks ``glnet segment`` for the impossible, takes the least budget that it names, runs it
with that one, and reads the peak from its report: a process of its own, as users start it. The
models are those of `benchmarks.host`, the image has 2448x2448 pixels. Writes a dated file into
benchmarks/results.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import rasterio
from PIL import Image

from benchmarks.common import heading, write_result
from benchmarks.host import draw, save

SIDE = 2448
WAYS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "tta": ("--tta", "flips"),
    "answers": ("--confidence", "--probabilities"),
    "overlay": ("--overlay",),
    "vector": ("--vector", "labels.gpkg"),
    "cog": ("--cog", "--confidence"),
    "regions": ("--region-size", "1200", "--region-overlap", "64"),
    "png": (),
    "jpg": ("--overlay",),
}


class Row(NamedTuple):
    """Bytes of one case."""

    backbone: str
    way: str
    precision: str
    budget: int
    peak: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", nargs="+", default=["test_resnet", "resnet18", "resnet50"])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "image.tif", SIDE)
        with rasterio.open(folder / "image.tif") as image:
            picture = Image.fromarray(image.read().transpose(1, 2, 0))
        for ending in ("png", "jpg"):
            picture.save(folder / f"image.{ending}")
        for backbone in options.backbones:
            save(backbone, folder / backbone)
            for way in options.ways:
                for precision in options.precisions:
                    rows.append(_row(folder, backbone, way, precision))
                    print(rows[-1], flush=True)
    write_result("budgets", _table(rows))


def _row(folder: Path, backbone: str, way: str, precision: str) -> Row:
    image = f"image.{way if way in {'png', 'jpg'} else 'tif'}"
    words = [image, "--model", backbone, "--output", "labels.tif", "--overwrite"]
    words += ["--precision", precision, *WAYS[way]]
    refused = _segment(folder, *words, "--host-memory", "1MiB").stderr
    found = re.search(r"--host-memory (\d+)MiB", refused)
    if found is None:
        raise SystemExit(f"no budget is named: {refused}")
    ended = _segment(folder, *words, "--host-memory", f"{found[1]}MiB", "--json")
    if ended.returncode:
        raise SystemExit(f"{words}: {ended.stderr}")
    (report,) = json.loads(ended.stdout)["reports"]
    return Row(backbone, way, precision, int(found[1]) * 2**20, report["peak_host_bytes"])


def _segment(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "glnet.cli.main", "segment", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def _table(rows: list[Row]) -> str:
    lines = "\n".join(
        f"| {of.backbone} | {of.way} | {of.precision} | {of.budget / 2**20:.0f} "
        f"| {of.peak / 2**20:.0f} | {of.peak / of.budget:.2f} |"
        for of in rows
    )
    return f"""{heading("Runs within the least budget that they name").rstrip()}
- an image of {SIDE}x{SIDE}; MiB, the program itself included

| backbone | way | precision | least `--host-memory` | peak | peak over budget |
|---|---|---|---|---|---|
{lines}
"""


if __name__ == "__main__":
    main()
