"""Bidirectional prediction of one image with ResNet-50, beside the bare backbone on its patches.

    python benchmarks/scene.py [IMAGE] [--patch-batch 1] [--rounds 3]

Without an image, a scene of 2448x2448 is drawn. Weights are fresh: they do not change the cost.
Both are run in turn in one process, the ratio is taken round by round; peak host memory comes from
a process of its own for each. Writes a dated file into benchmarks/results.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from glnet.data import ClassInfo, SceneSettings, make_scene
from glnet.geometry import Size, strips
from glnet.inference.machine import peak_host_bytes
from glnet.inference.pixels import normalized, read_patch
from glnet.inference.streaming import Answer, Settings, predict
from glnet.model.checkpoint import Model, new_model
from glnet.model.config import Architecture, Framing, ModelConfig
from glnet.raster import ArrayRaster, Raster, open_raster

CLASSES = tuple(ClassInfo(f"class {k}", (30 * k, 255 - 30 * k, 128)) for k in range(7))
RESULTS = Path(__file__).parent / "results"
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", nargs="?", type=Path)
    parser.add_argument("--patch-batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak-of", choices=["nothing", "backbone", "glnet"], default=None)
    options = parser.parse_args()
    if options.peak_of is not None:
        _print_peak(options)
        return
    values = _measure(options)
    text = _table(values)
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-scene.md"
    target.write_text(text)
    print(text, f"\nwritten to {target}", sep="\n")


def _measure(options: argparse.Namespace) -> dict[str, object]:
    model = _model()
    with ExitStack() as files:
        raster = _raster(options.image, files)
        runs = _runs(model, raster, options.patch_batch)
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        _warm_up(model)
        for _ in range(options.rounds):
            for name, run in runs.items():
                began = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - began)
        size, patches = raster.size, len(model.config.framing.grid(raster.size))
    ratios = [a / b for a, b in zip(seconds["glnet"], seconds["backbone"], strict=True)]
    peaks = {name: _peak(name, options) for name in ("nothing", "backbone", "glnet")}
    return {
        "image": options.image.name if options.image else "drawn scene",
        "size": str(size),
        "patches": patches,
        "patch_batch": options.patch_batch,
        "seconds": seconds,
        "ratios": ratios,
        "peak_mib": peaks,
    }


def _runs(model: Model, raster: Raster, batch: int) -> dict[str, Callable[[], None]]:
    return {
        "backbone": lambda: _backbone(model, raster, batch),
        "glnet": lambda: _glnet(model, raster, batch),
    }


def _backbone(model: Model, raster: Raster, batch: int) -> None:
    """The local branch's backbone alone, on the same patches read the same way."""
    framing, local = model.config.framing, model.network.local
    assert local is not None
    windows = list(framing.grid(raster.size))
    with torch.inference_mode():
        for first in range(0, len(windows), batch):
            pixels = [read_patch(raster, at, framing) for at in windows[first : first + batch]]
            local.backbone(normalized(np.stack(pixels), model.config.normalization))


def _glnet(model: Model, raster: Raster, batch: int) -> None:
    """Everything from pixels to labels, the writing of the file left out."""
    with predict(model, raster, Settings(patch_batch=batch)) as prediction:
        for strip in strips(raster.size, prediction.strip_height()):
            prediction.labels(Answer.AGGREGATED, strip, CPU)


def _model() -> Model:
    torch.manual_seed(0)
    framing = Framing(patch_size=508, thumbnail_size=508)
    model = new_model(ModelConfig(classes=CLASSES, architecture=Architecture(), framing=framing))
    model.network.eval()
    return model


def _raster(image: Path | None, files: ExitStack) -> Raster:
    if image is not None:
        return files.enter_context(open_raster(image))
    scene = make_scene(SceneSettings(size=Size(2448, 2448)), seed=0)
    return ArrayRaster(np.moveaxis(scene.image, 0, 2), "drawn scene")


def _warm_up(model: Model) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (600, 600, 3), dtype=np.uint8)
    _glnet(model, ArrayRaster(noise), 1)


def _print_peak(options: argparse.Namespace) -> None:
    model = _model()
    with ExitStack() as files:
        raster = _raster(options.image, files)
        if options.peak_of != "nothing":
            _runs(model, raster, options.patch_batch)[options.peak_of]()
    peak = peak_host_bytes()
    assert peak is not None
    print(json.dumps(peak / 2**20))


def _peak(name: str, options: argparse.Namespace) -> float:
    command = [sys.executable, __file__, "--peak-of", name]
    command += ["--patch-batch", str(options.patch_batch)]
    command += [str(options.image)] if options.image else []
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(answer.stdout.strip().splitlines()[-1]))


def _table(values: dict[str, object]) -> str:
    seconds, peaks = values["seconds"], values["peak_mib"]
    assert isinstance(seconds, dict)
    assert isinstance(peaks, dict)
    ratios = values["ratios"]
    assert isinstance(ratios, list)
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    ).stdout.strip()
    rows = "\n".join(
        f"| {title} | {statistics.median(seconds[name]):.1f} "
        f"({min(seconds[name]):.1f} to {max(seconds[name]):.1f}) | {peaks[name]:.0f} "
        f"| {peaks[name] - peaks['nothing']:.0f} |"
        for title, name in (
            ("bare ResNet-50 on the same patches", "backbone"),
            ("GLNet, bidirectional, labels", "glnet"),
        )
    )
    return f"""# Bidirectional prediction of one image, ResNet-50, 7 classes

- date: {datetime.now(UTC):%Y-%m-%d}, commit {head or "unknown"}
- machine: {_processor()}, {torch.get_num_threads()} threads, {platform.system()}
- Python {platform.python_version()}, torch {version("torch")}, timm {version("timm")}
- image: {values["image"]}, {values["size"]}, {values["patches"]} patches of 508 px, batch \
{values["patch_batch"]}, float32

| | seconds, median (range) of {len(ratios)} | peak host MiB | above model and imports |
|---|---|---|---|
{rows}

Ratio of the two, round by round: {statistics.median(ratios):.2f} \
({min(ratios):.2f} to {max(ratios):.2f}).
"""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        name = platform.processor()
    return f"{name}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
