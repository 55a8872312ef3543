"""Whether a run that was killed at any moment, and resumed, ends with the same bytes.

    python -m benchmarks.kills [--trials 100] [--side 3500] [--kills 1]

Each trial segments a drawn scene in a process of its own, which gets SIGKILL at a random moment,
some times over; then the run is resumed to its end. All results are compared byte by byte with
those of a run that was left alone. Notes are taken as often as possible, so that there is much to
resume. Writes a dated file into benchmarks/results.
"""

import argparse
import hashlib
import os
import random
import signal
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.any_size import draw_scene, small_model
from benchmarks.common import heading, natural, paragraph, table, write_result
from glnet.inference import journal, score_files
from glnet.inference.jobs import Extras
from glnet.inference.regions import RegionRule
from glnet.inference.segment import segment_file
from glnet.inference.settings import Settings
from glnet.inference.starting import Rules
from glnet.model.checkpoint import save_model

WAYS = {
    "whole image": Settings(patch_batch=2, regions=RegionRule("whole")),
    "regions, flipped": Settings(patch_batch=2, regions=RegionRule(side=1500), turns="flips"),
}
EXTRAS = Extras(confidence=True, probabilities=True, vector=".gpkg", overlay=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=natural, default=100)
    parser.add_argument("--side", type=natural, default=3500)
    parser.add_argument("--kills", type=natural, default=1)
    options = parser.parse_args()
    # Children are forked: this process must have no other threads.
    torch.set_num_threads(1)
    journal.SECONDS_BETWEEN_NOTES = 0.1
    journal.PAUSE_SHARE = 1
    # So that scores overwrite others while they move.
    score_files.SPARE_BYTES = 1 << 20
    chance, rows = random.Random(0), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(small_model(), folder / "model")
        draw_scene(folder / "scene.tif", options.side)
        for way, settings in WAYS.items():
            rows.append([way, *_trials(folder, settings, options, chance)])
            print(*rows[-1], sep=" | ", flush=True)
    columns = ("way", "seconds alone", "trials", "kills", "resumed after notes", "same bytes")
    text = paragraph(
        f"{options.side}x{options.side} pixels; labels, confidence, probabilities, overlay, and "
        "polygons (GeoPackages say when they were written: only their number of polygons counts)."
    )
    write_result("kills", f"{heading('Killed and resumed')}\n{text}\n\n{table(columns, rows)}\n")


def _trials(
    folder: Path, settings: Settings, options: argparse.Namespace, chance: random.Random
) -> list[object]:
    for file in folder.glob("alone*"):
        file.unlink()
    begin = time.monotonic()
    assert _run(folder, "alone", settings, None) == 0
    seconds = time.monotonic() - begin
    expected = _results(folder, "alone")
    kills = resumed = same = 0
    for trial in range(options.trials):
        for _ in range(options.kills):
            kills += _run(folder, "killed", settings, chance.uniform(0, seconds)) != 0
        resumed += (folder / f"killed.tif{journal.ENDING}" / journal.JOURNAL).is_file()
        assert _run(folder, "killed", settings, None) == 0
        found = _results(folder, "killed")
        same += found == expected
        left = [of.name for of in folder.iterdir() if "partial" in of.name or "unfin" in of.name]
        assert not left, left
        for file in folder.glob("killed*"):
            file.unlink()
        print(f"trial {trial + 1}: {same} the same", flush=True)
    return [f"{seconds:.1f}", options.trials, kills, resumed, same]


def _run(folder: Path, name: str, settings: Settings, after: float | None) -> int:
    """Segment in another process, which is killed after so many seconds; its exit status."""
    child = os.fork()
    if child == 0:
        output, rules = folder / f"{name}.tif", Rules(resume=True)
        if not all(of.exists() for of in _files(folder, name)):
            segment_file(
                folder / "scene.tif", output, folder / "model", settings, extras=EXTRAS, rules=rules
            )
        os._exit(0)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _files(folder: Path, name: str) -> list[Path]:
    endings = (".tif", "_confidence.tif", "_probabilities.tif", "_overlay.png", ".gpkg")
    return [folder / f"{name}{ending}" for ending in endings]


def _results(folder: Path, name: str) -> list[str]:
    *files, polygons = _files(folder, name)
    return [hashlib.sha256(of.read_bytes()).hexdigest() for of in files] + [_count(polygons)]


def _count(polygons: Path) -> str:
    import pyogrio  # noqa: PLC0415 - with threads of its own, so not in the process that forks

    return str(pyogrio.read_info(polygons)["features"])


if __name__ == "__main__":
    main()
