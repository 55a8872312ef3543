"""Whether a training that was killed, or shared out to two processes, ends where it should.

    python benchmarks/same_weights.py [--kills 6] [--folder DIR]

Trains three stages on small drawn scenes through ``glnet train``: undisturbed; killed with SIGKILL
at moments spread over the run and resumed; with two processes. Compares weights and losses, and
writes a dated file into benchmarks/results. On a CPU, one thread per process.
"""

import argparse
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from safetensors.torch import load_file

from glnet.data import SceneSettings, write_dataset
from glnet.geometry import Size
from glnet.training.following.history import read_history

EPOCHS = {"context": 6, "local": 4, "refined": 4}
CONFIG = """
data: {folder: data, cache_mib: 100}
output: run
architecture: {backbone: resnet10t, fpn_width: 8, refined_width: 4}
framing: {patch_size: 64, thumbnail_size: 64, overlap: 16}
loss: {gamma: 2.0}
stages:
  context: {epochs: 6, learning_rate: 1.0e-3, images: 2, micro_batch: 1}
  local: {epochs: 4, learning_rate: 1.0e-3, images: 2, patches: 5, micro_batch: 2}
  refined: {epochs: 4, learning_rate: 1.0e-3, images: 2, patches: 5, micro_batch: 2}
run: {placement: random, validate_every: 2, checkpoint_minutes: 0, device: cpu}
follow: {pictures_every: 0, tensorboard: false}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG)
    scenes = SceneSettings(size=Size(160, 128))
    write_dataset(folder / "data", scenes, {"train": 5, "validation": 2}, 0)
    train(folder, "one")
    kills = train_killed(folder, "killed", options.kills)
    train(folder, "two", "--run.devices", "2")
    text = report(folder, kills)
    results = Path(__file__).parent / "results"
    target = results / f"{datetime.now(UTC):%Y-%m-%d}-same-weights.md"
    target.write_text(text)
    print(text, f"\nwritten to {target}", sep="\n")


def command(output: str, *more: str) -> list[str]:
    main = "import sys; from glnet.cli.main import main; sys.exit(main())"
    return [sys.executable, "-c", main, "train", "config.yaml", "--output", output, *more]


def train(folder: Path, output: str, *more: str) -> None:
    entry = Path(sys.executable).parent / "glnet"  # Lightning starts other processes by its name.
    words = [str(entry), "train", "config.yaml", "--output", output, *more]
    subprocess.run(words, cwd=folder, check=True, env=environment(), capture_output=True)


def train_killed(folder: Path, output: str, kills: int) -> list[str]:
    """Kill somewhere behind the ends of epochs spread over the run; returns where each struck."""
    rng, struck = random.Random(0), []
    ends = rng.sample(range(sum(EPOCHS.values())), kills)
    for rows in sorted(ends):
        process = subprocess.Popen(
            command(output, "--resume"),
            cwd=folder,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while rows_in(folder / output) < rows and process.poll() is None:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.wait()
        struck.append(standing(folder / output))
    train(folder, output, "--resume")
    return struck


def rows_in(output: Path) -> int:
    history = output / "history.csv"
    return len(history.read_text().splitlines()) - 1 if history.exists() else 0


def standing(output: Path) -> str:
    """The last round that a killed run had written down."""
    history = output / "history.csv"
    rounds = read_history(history) if history.exists() else []
    return f"{rounds[-1].stage} {rounds[-1].epoch:g}" if rounds else "before the first epoch's end"


def report(folder: Path, kills: list[str]) -> str:
    lines = [
        "# The same weights, killed or shared out",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; glnet {version('glnet')}, torch {version('torch')}, Python "
        f"{platform.python_version()}, {platform.machine()}, CPU, one thread per process, float32.",
        "5 training images in steps of 2 (the last step of an epoch has one), three stages.",
        "",
        "    python benchmarks/same_weights.py",
        "",
        f"Killed {len(kills)} times; the last row of history.csv then: {', '.join(kills)}.",
        "",
        "| after stage | killed: largest difference of a weight | two processes: of a weight "
        "| two processes: of an epoch's loss, relative |",
        "|---|---|---|---|",
    ]
    for stage in EPOCHS:
        killed, two = (difference(folder, other, stage) for other in ("killed", "two"))
        loss = loss_difference(folder, stage)
        words = "0 (every bit)" if killed == 0 else f"{killed:.1e}"
        lines.append(f"| {stage} | {words} | {two:.1e} | {loss:.1e} |")
    return "\n".join(lines) + "\n"


def difference(folder: Path, other: str, stage: str) -> float:
    ours, theirs = (
        load_file(folder / run / "stages" / stage / "model.safetensors") for run in ("one", other)
    )
    return max(float((ours[name].double() - theirs[name].double()).abs().max()) for name in ours)


def loss_difference(folder: Path, stage: str) -> float:
    ours, theirs = (
        [of.loss for of in read_history(folder / run / "history.csv") if of.stage == stage]
        for run in ("one", "two")
    )
    return max(abs(a - b) / abs(a) for a, b in zip(ours, theirs, strict=True))


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


if __name__ == "__main__":
    main()
