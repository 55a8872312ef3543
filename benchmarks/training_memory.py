"""Peak memory of a step, by stage and by the patches of an image.

    python -m benchmarks.training_memory [--micro-batch 3] [--patch 128] [--backbone resnet50]

Images are drawn GeoTIFFs that the training's own feed reads by windows, with nothing cached. Every
case runs a step in two processes of its own: one counts tensors (`live_bytes.py`), another asks the
system for the most memory that the process held while the step ran.
"""

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.common import (
    CPU,
    ask,
    configuration,
    descend,
    heading,
    paragraph,
    prepared,
    table,
    write_result,
)
from glnet.data import SceneSettings, write_dataset
from glnet.geometry import Size
from glnet.inference.live_bytes import LiveBytes
from glnet.inference.machine import peak_host_bytes
from glnet.model.config import Architecture, Framing
from glnet.training.config import RunConfig, StageConfig
from glnet.training.preparation import Stage

ACROSS = {9: 3, 36: 6, 144: 12}
"""Patches along a side, by how many an image has."""

STAGES = ("local", "refined")
OVERLAP = 16
CLEAR_PEAK = "5"
"""Written there, the system forgets the most memory so far (proc(5), Linux)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--micro-batch", type=int, default=3)
    parser.add_argument("--patch", type=int, default=128)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case is not None:
        print(json.dumps(_case(options, *options.case)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for patches, across in ACROSS.items():
            side = across * (options.patch - OVERLAP) + OVERLAP
            settings = SceneSettings(Size(side, side))
            counts = {"train": 1, "validation": 1}
            write_dataset(Path(folder) / str(patches), settings, counts, suffix=".tif")
        few, many = list(ACROSS)[:-1], list(ACROSS)
        rows = [_row(options, folder, name, many, options.micro_batch) for name in STAGES]
        rows += [_row(options, folder, name, few, 0) for name in STAGES]
    write_result("training-memory", _report(options, rows))


def _row(
    options: argparse.Namespace, folder: str, name: str, numbers: list[int], micro_batch: int
) -> list[str]:
    """A stage's peaks over the numbers of patches; a micro-batch of 0 takes all at once."""
    words = ["--patch", options.patch, "--backbone", options.backbone, "--case", name]
    peaks: dict[str, list[float]] = {}
    for what in ("tensors", "process"):
        for number in numbers:
            case = [Path(folder) / str(number), micro_batch or number, what]
            answer = json.loads(ask("benchmarks.training_memory", *words, *case))
            assert answer["patches"] == number
            peaks.setdefault(what, []).append(answer["mib"])
    cells = [f"{name}, {micro_batch or 'all'} at once"]
    for of in peaks.values():
        cells += [f"{mib:.0f}" for mib in of] + ["-"] * (len(ACROSS) - len(of))
        cells.append(f"{of[-1] / of[0]:.2f}")
    print(cells, flush=True)
    return cells


def _case(
    options: argparse.Namespace, name: str, folder: str, micro_batch: str, what: str
) -> dict[str, float]:
    framing = Framing(patch_size=options.patch, thumbnail_size=options.patch, overlap=OVERLAP)
    at_once = int(micro_batch)
    stage = StageConfig(epochs=1, learning_rate=1e-4, images=1, patches=0, micro_batch=at_once)
    run = RunConfig(device="cpu", patch_batch=at_once)
    architecture = Architecture(backbone=options.backbone)
    of = prepared(configuration(Path(folder), architecture, framing, stage, run), name)
    (task, *_) = of.feeds.training.plan.tasks(0, 0)
    peak = _tensors(of) if what == "tensors" else _process(of)
    return {"patches": len(task.look.grid), "mib": peak / 2**20}


def _tensors(stage: Stage) -> int:
    with LiveBytes() as live:
        _step(stage)
    return int(live.peak)


def _process(stage: Stage) -> int:
    Path("/proc/self/clear_refs").write_text(CLEAR_PEAK)
    _step(stage)
    peak = peak_host_bytes()
    assert peak is not None
    return peak


def _step(stage: Stage) -> None:
    descend(stage.step, stage.feeds.training.step(0, 0, CPU))


def _report(options: argparse.Namespace, rows: list[list[str]]) -> str:
    numbers = list(ACROSS)
    columns = ["stage"]
    for what in ("tensors", "process"):
        columns += [f"{what}, {number}" for number in numbers]
        columns.append("last / first")
    text = f"""
        {options.backbone}, pyramid of 256 and 128 channels, bidirectional, patches and thumbnail of
        {options.patch} px, float32; all patches of the image train. MiB. Tensors: all that
        operations make, weights not counted. Process: all that it holds, Python, libraries, weights
        and gradients with it. All at once: the patches of the image in one micro-batch.
    """
    return f"""{heading("Peak memory of a training step, by the patches of an image")}
{paragraph(text)}

{table(columns, rows)}
"""


if __name__ == "__main__":
    main()
