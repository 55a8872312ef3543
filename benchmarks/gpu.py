"""What an estimate says of the device's memory, beside what a prediction takes there.

    python -m benchmarks.gpu [--sizes 2448x2448 5000x5000] [--batches 1 2 4 8]
        [--precisions float32 bfloat16 float16] [--backbone resnet50] [--patch 508] [--scene noise]

Every case runs in a fresh process: a bidirectional prediction with fresh weights and all its
labels, once for the memory and once more for the time. ``--device cpu`` tries the same on any
machine; there the bytes of all tensors are counted. Writes a dated file into benchmarks/results.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.common import (
    ask,
    device_name,
    heading,
    mebibytes,
    natural,
    paragraph,
    table,
    write_result,
)
from glnet.data import ClassInfo, SceneSettings, make_scene
from glnet.errors import ConfigurationError
from glnet.geometry import Size, strips
from glnet.inference.estimate import estimate
from glnet.inference.forming import form_of
from glnet.inference.live_bytes import LiveBytes
from glnet.inference.machine import (
    chosen_device,
    chosen_precision,
    forget_peak_device_bytes,
    is_out_of_memory,
    peak_host_bytes,
)
from glnet.inference.settings import Precision, Settings
from glnet.inference.streaming import answers_of, predict
from glnet.model.checkpoint import Model, new_model
from glnet.model.collapse import BRANCHES, branches_of
from glnet.model.config import Architecture, Framing, ModelConfig
from glnet.model.forms import Form
from glnet.raster import ArrayRaster, Raster

CLASSES = tuple(ClassInfo(f"class {k}", (30 * k, 255 - 30 * k, 128)) for k in range(7))
SIZES = [Size(2448, 2448), Size(5000, 5000)]
GOAL = 0.05
"""How far an estimate may be off."""

Found = dict[str, float | None]
"""What a case measured, in bytes and seconds; nothing where memory ran out."""


@dataclass(frozen=True)
class Row:
    """A case.

    Attributes:
        size: Of the image.
        settings: Of the prediction.
        expected: Bytes, as estimated.
        found: What was measured: peak, reserved, process, host (bytes), seconds.
    """

    size: Size
    settings: Settings
    expected: int
    found: Found

    @property
    def ratio(self) -> float | None:
        """Measured over estimated."""
        peak = self.found.get("peak")
        return None if peak is None else peak / self.expected

    def cells(self) -> list[str]:
        """As the table shows it."""
        known = [self.found.get(name) for name in ("reserved", "process", "host")]
        peak, seconds = self.found.get("peak"), self.found.get("seconds")
        return [
            str(self.size),
            self.settings.precision,
            str(self.settings.patch_batch),
            mebibytes(self.expected),
            "out of memory" if peak is None else mebibytes(peak),
            "-" if self.ratio is None else f"{self.ratio:.3f}",
            *("-" if of is None else mebibytes(of) for of in known),
            "-" if seconds is None else f"{seconds:.1f}",
        ]


def main(words: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(words)
    try:
        options.device = chosen_device(options.device)
        options.precisions = [
            chosen_precision(name, options.device)
            for name in options.precisions or _precisions(options.device)
        ]
        if options.case:
            print(json.dumps(_case(options)))
            return
        model = _model(options)
        rows = [
            _row(options, model, size, _settings(options, precision, batch))
            for size in options.sizes
            for precision in options.precisions
            for batch in options.batches
        ]
    except ConfigurationError as error:
        raise SystemExit(str(error)) from error
    write_result("gpu" if options.device != "cpu" else "estimate-on-cpu", _report(options, rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=_size, default=SIZES, metavar="HxW")
    parser.add_argument("--precisions", nargs="+", help="all that the device has, by default")
    parser.add_argument("--batches", nargs="+", type=natural, default=[1, 2, 4, 8], metavar="N")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--patch", type=natural, default=508)
    parser.add_argument("--scene", choices=["noise", "drawn"], default="noise")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--case", action="store_true", help=argparse.SUPPRESS)
    return parser


def _size(word: str) -> Size:
    height, _, width = word.partition("x")
    return Size(natural(height), natural(width))


def _precisions(device: str) -> list[Precision]:
    """Those that are measured where none are asked for."""
    return ["float32", "bfloat16"] if device == "cpu" else ["float32", "bfloat16", "float16"]


def _settings(options: argparse.Namespace, precision: Precision, batch: int) -> Settings:
    return Settings(device=options.device, precision=precision, patch_batch=batch)


def _model(options: argparse.Namespace) -> Model:
    torch.manual_seed(0)
    framing = Framing(
        patch_size=options.patch, thumbnail_size=options.patch, overlap=options.patch // 10
    )
    architecture = Architecture(backbone=options.backbone)
    model = new_model(ModelConfig(classes=CLASSES, architecture=architecture, framing=framing))
    model.network.eval()
    return model


# One case


def _row(options: argparse.Namespace, model: Model, size: Size, settings: Settings) -> Row:
    """Estimate here, measure in a fresh process."""
    words = ["--case", "--device", options.device, "--backbone", options.backbone]
    words += ["--patch", options.patch, "--scene", options.scene, "--sizes", size]
    words += ["--precisions", settings.precision, "--batches", settings.patch_batch]
    expected = estimate(model, size, settings).device_bytes
    before = _used(options.device)
    found: Found = json.loads(ask("benchmarks.gpu", *words))
    used = found.pop("used", None)
    if used is not None and before is not None:
        found["process"] = used - before
    row = Row(size, settings, expected, found)
    print(*row.cells(), sep=" | ", flush=True)
    return row


def _case(options: argparse.Namespace) -> Found:
    """What `_row` asks for: the first of everything."""
    (size, *_), (precision, *_), (batch, *_) = options.sizes, options.precisions, options.batches
    model, settings = _model(options), _settings(options, precision, batch)
    raster = _raster(size, options.scene)
    try:
        forget_peak_device_bytes(settings.device)
        form = form_of(model, settings).form
        peak = _peak(model, raster, settings, form)
        began = time.perf_counter()
        _predict(model, raster, settings, form)
        seconds = time.perf_counter() - began
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return {}
    return {
        "peak": peak,
        "reserved": _reserved(settings.device),
        "used": _used(settings.device),
        "host": peak_host_bytes(),
        "seconds": seconds,
    }


def _raster(size: Size, scene: str) -> Raster:
    if scene == "drawn":
        image = make_scene(SceneSettings(size=size), seed=0).image
        return ArrayRaster(np.moveaxis(image, 0, 2), "drawn scene")
    noise = np.random.default_rng(0).integers(0, 255, (size.height, size.width, 3), dtype=np.uint8)
    return ArrayRaster(noise, "noise")


def _peak(model: Model, raster: Raster, settings: Settings, form: Form) -> int:
    """The most bytes of tensors on the device at once, weights included."""
    if settings.device != "cpu":
        _predict(model, raster, settings, form)
        return int(torch.cuda.max_memory_allocated(settings.device))
    _predict(model, raster, settings, form)  # What is kept of the weights is there.
    with LiveBytes(settings.device) as live:
        _predict(model, raster, settings, form)
    make = branches_of(model.network, model.bands)
    parts = [make(name) for name in BRANCHES if getattr(model.network, name) is not None]
    weights = sum(of.nbytes for part in parts for of in part.state_dict().values())
    return int(live.peak + weights)


def _predict(model: Model, raster: Raster, settings: Settings, form: Form) -> None:
    """Everything from pixels to labels, the writing of the file left out."""
    answer, device = answers_of(model)[-1], torch.device(settings.device)
    with predict(model, raster, settings, form=form) as prediction:
        for strip in strips(raster.size, prediction.strip_height()):
            prediction.labels(answer, strip, device)


def _reserved(device: str) -> int | None:
    return None if device == "cpu" else int(torch.cuda.max_memory_reserved(device))


def _used(device: str) -> int | None:
    """By all processes, on the whole device."""
    if device == "cpu":
        return None
    free, total = torch.cuda.mem_get_info(device)
    return int(total) - int(free)


# What is written


def _report(options: argparse.Namespace, rows: Sequence[Row]) -> str:
    columns = (
        "size",
        "precision",
        "at once",
        "estimated MiB",
        "measured MiB",
        "measured over estimated",
        "reserved MiB",
        "process on the device, MiB",
        "host peak MiB",
        "seconds",
    )
    measured = [of.ratio for of in rows if of.ratio is not None]
    good = sum(abs(ratio - 1) <= GOAL for ratio in measured)
    text = f"""
        On {device_name(options.device)}; {options.backbone}, patches and thumbnail of
        {options.patch} px, 7 classes, bidirectional, collapsed, fresh weights, {options.scene}.
        Estimated: `glnet.inference.estimate`. Measured: the most that tensors took at once in a
        prediction with all its labels, weights included; {_how(options.device)}. Host peak is that
        of the whole process, the image in memory and the libraries with it. Seconds are those of a
        second prediction in the same process.
    """
    return f"""{heading("Memory of a prediction: estimated and measured")}
{paragraph(text)}

{table(columns, [of.cells() for of in rows])}

{good} of {len(rows)} are within {GOAL:.0%} of the estimate.
"""


def _how(device: str) -> str:
    if device == "cpu":
        return (
            "counted operation by operation (`LiveBytes`), without what libraries take within one"
        )
    return (
        "`torch.cuda.max_memory_allocated`. Reserved: `torch.cuda.max_memory_reserved`. Process on "
        "the device: by how much more of it was taken after the prediction than before the process "
        "began (`torch.cuda.mem_get_info`), the driver's share included; other processes must be "
        "quiet"
    )


if __name__ == "__main__":
    main()
