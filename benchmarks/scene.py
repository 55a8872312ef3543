"""Bidirectional prediction of one image with ResNet-50, beside the bare backbone on what it sees.

    python -m benchmarks.scene [IMAGE] [--patch-batch 1] [--rounds 3]

Without an image, a scene of 2448x2448 is drawn. Weights are fresh: they do not change the cost.
Both are run in turn in one process, the ratio is taken round by round; peak host memory comes from
a process of its own for each. Writes a dated file into benchmarks/results.
"""

import argparse
import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import CPU, ask, heading, interleaved, ratios, spread, write_result
from glnet.data import ClassInfo, SceneSettings, make_scene
from glnet.geometry import Size, strips
from glnet.inference.forming import form_of
from glnet.inference.machine import peak_host_bytes
from glnet.inference.pixels import normalized, read_patch, read_thumbnail
from glnet.inference.streaming import Answer, Settings, predict
from glnet.model.checkpoint import Model, new_model
from glnet.model.config import Architecture, Framing, ModelConfig
from glnet.model.forms import Form
from glnet.raster import ArrayRaster, Raster, open_raster

CLASSES = tuple(ClassInfo(f"class {k}", (30 * k, 255 - 30 * k, 128)) for k in range(7))


NAMES = {
    "backbone": "bare ResNet-50 on the same pixels",
    "collapsed": "GLNet to labels, head multiplied out",
    "plain": "GLNet to labels, head as trained",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", nargs="?", type=Path)
    parser.add_argument("--patch-batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak-of", choices=["nothing", *NAMES], default=None)
    options = parser.parse_args()
    if options.peak_of is not None:
        _print_peak(options)
        return
    values = _measure(options)
    write_result("scene", _table(values))


def _measure(options: argparse.Namespace) -> dict[str, object]:
    model = _model()
    with ExitStack() as files:
        raster = _raster(options.image, files)
        runs = _runs(model, raster, options.patch_batch)
        _warm_up(runs)
        seconds = interleaved(runs, options.rounds)
        size, patches = raster.size, len(model.config.framing.grid(raster.size))
    peaks = {name: _peak(name, options) for name in ("nothing", *NAMES)}
    return {
        "image": options.image.name if options.image else "drawn scene",
        "size": str(size),
        "patches": patches,
        "patch_batch": options.patch_batch,
        "seconds": seconds,
        "ratios": {of: ratios(seconds[of], seconds["backbone"]) for of in ("collapsed", "plain")},
        "peak_mib": peaks,
    }


def _runs(model: Model, raster: Raster, batch: int) -> dict[str, Callable[[], None]]:
    settings = {
        "collapsed": Settings(patch_batch=batch),
        "plain": Settings(patch_batch=batch, collapse=False),
    }
    forms = {name: form_of(model, of).form for name, of in settings.items()}
    return {
        "backbone": lambda: _backbone(model, raster, batch),
        "collapsed": lambda: _glnet(model, raster, settings["collapsed"], forms["collapsed"]),
        "plain": lambda: _glnet(model, raster, settings["plain"], forms["plain"]),
    }


def _backbone(model: Model, raster: Raster, batch: int) -> None:
    """The local branch's backbone alone, on all that the branches see, read the same way."""
    framing, local = model.config.framing, model.network.local
    assert local is not None
    windows = list(framing.grid(raster.size))
    with torch.inference_mode():
        for first in range(0, len(windows), batch):
            pixels = [
                read_patch(raster, at, framing).pixels for at in windows[first : first + batch]
            ]
            local.backbone(normalized(np.stack(pixels), model.config.normalization))
        for _ in range(2):  # The context and the refined branch see the thumbnail.
            thumbnail = read_thumbnail(raster, framing).pixels[None]
            local.backbone(normalized(thumbnail, model.config.normalization))


def _glnet(model: Model, raster: Raster, settings: Settings, form: Form) -> None:
    """Everything from pixels to labels, the writing of the file left out."""
    with predict(model, raster, settings, form=form) as prediction:
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


def _warm_up(runs: dict[str, Callable[[], None]]) -> None:
    """What is made once is made."""
    for run in runs.values():
        run()


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
    words: list[object] = ["--peak-of", name, "--patch-batch", options.patch_batch]
    words += [options.image.absolute()] if options.image else []
    return float(json.loads(ask("benchmarks.scene", *words)))


def _table(values: dict[str, object]) -> str:
    seconds, peaks, each = values["seconds"], values["peak_mib"], values["ratios"]
    assert isinstance(seconds, dict)
    assert isinstance(peaks, dict)
    assert isinstance(each, dict)
    rows = "\n".join(
        f"| {title} | {spread(seconds[name], 1)} | {spread(each[name]) if name in each else 1} "
        f"| {peaks[name]:.0f} | {peaks[name] - peaks['nothing']:.0f} |"
        for name, title in NAMES.items()
    )
    return f"""{heading("Bidirectional prediction of one image, ResNet-50, 7 classes").rstrip()}
- image: {values["image"]}, {values["size"]}, {values["patches"]} patches of 508 px, batch \
{values["patch_batch"]}, float32; the bare backbone sees all patches and the thumbnail twice
- ratios round by round; peak memory in processes of their own, each holding a whole model

| | seconds, median (range) of {len(seconds["backbone"])} | over the bare backbone \
| peak host MiB | above model and imports |
|---|---|---|---|---|
{rows}
"""


if __name__ == "__main__":
    main()
