"""Whether several processes learn what one learns, and how a run ends and goes on that loses one.

    python -m benchmarks.several_processes [--folder DIR]

Trains three stages on small drawn scenes through ``glnet train``: with one process; with two, which
``--devices 2`` or torchrun starts; and with two of which one is killed with SIGKILL, going on with
one, which is killed too, and then with two. Compares losses and weights, and writes a dated file
into benchmarks/results. On a CPU, by gloo, one thread per process.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors.torch import load_file

from benchmarks.common import heading, paragraph, table, write_result
from benchmarks.same_weights import CONFIG, EPOCHS, environment, rows_in
from glnet.data import SceneSettings, write_dataset
from glnet.geometry import Size
from glnet.training.following.history import read_history

MODULE = ["-m", "glnet.cli.main"]
PLAIN = [sys.executable, *MODULE]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *MODULE]
PAPER = ("1e-4", "2e-5", "1e-4")
"""The paper's learning rates, by stage; the configuration has 1e-3 for all."""
PATIENCE_S = 300


class Lost(NamedTuple):
    """What came of killing one of two processes."""

    victim: int
    seconds: float
    code: int
    words: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG)
    write_dataset(folder / "data", SceneSettings(Size(160, 128)), {"train": 5, "validation": 2}, 0)
    for rates, prefix in ((PAPER, "paper"), ((), "high")):
        run(folder, PLAIN, f"{prefix}-one", rates)
        run(folder, PLAIN, f"{prefix}-two", rates, "--devices", "2")
    run(folder, TORCHRUN, "paper-torchrun", PAPER)
    lost = [lose(folder, victim) for victim in (0, 1)]
    write_result("several-processes", report(folder, lost))


def words(start: Sequence[str], output: str, rates: Sequence[str], *more: str) -> list[str]:
    options = [
        f"--stages.{stage}.learning_rate={rate}" for stage, rate in zip(EPOCHS, rates, strict=False)
    ]
    return [*start, "train", "config.yaml", "--output", output, *options, *more]


def run(folder: Path, start: Sequence[str], output: str, rates: Sequence[str], *more: str) -> None:
    subprocess.run(
        words(start, output, rates, *more),
        cwd=folder,
        check=True,
        env=environment(),
        capture_output=True,
        timeout=PATIENCE_S,
    )


def lose(folder: Path, victim: int) -> Lost:
    """Kill a process of two; go on with one, kill it; go on with two."""
    output, rng = f"lost-{victim}", random.Random(victim)
    first = started(folder, output, "--devices", "2")
    wait_for(folder / output, 3, first)
    time.sleep(rng.uniform(0, 1))
    both = (first.pid, second_of(first.pid))
    began = time.perf_counter()
    os.kill(both[victim], signal.SIGKILL)
    told = first.communicate(timeout=PATIENCE_S)[1]  # Its end is that of all that write there.
    seconds = time.perf_counter() - began
    code = first.returncode
    single = started(folder, output, "--resume")
    wait_for(folder / output, 8, single)
    single.kill()
    single.communicate(timeout=PATIENCE_S)
    run(folder, PLAIN, output, PAPER, "--devices", "2", "--resume")
    lines = [of for of in told.splitlines() if ": epoch " not in of]
    return Lost(victim, seconds, code, lines)


def started(folder: Path, output: str, *more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        words(PLAIN, output, PAPER, *more),
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(output: Path, rows: int, process: "subprocess.Popen[str]") -> None:
    while rows_in(output) < rows:
        if process.poll() is not None:
            raise SystemExit(f"ended before it could be killed, with code {process.returncode}")
        time.sleep(0.02)


def second_of(first: int) -> int:
    """The process that the first one has started; Linux alone tells."""
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    environments = {int(of): Path(f"/proc/{of}/environ").read_bytes() for of in children}
    (second,) = (of for of, says in environments.items() if b"\0LOCAL_RANK=1\0" in says)
    return second


def report(folder: Path, lost: Sequence[Lost]) -> str:
    one = "paper-one"
    runs = [
        ("two, `--devices 2`", "paper-two", one),
        ("two, torchrun", "paper-torchrun", one),
        *(
            (
                f"{which(of.victim)} of two killed, then one, then two",
                f"lost-{of.victim}",
                "paper-one",
            )
            for of in lost
        ),
        ("two, learning rate 1e-3 throughout", "high-two", "high-one"),
    ]
    rows = [
        [title, stage, *(f"{of:.1e}" for of in differences(folder / run, folder / one, stage))]
        for title, run, one in runs
        for stage in EPOCHS
    ]
    parts = [
        heading("Several processes learn what one learns", ("torch", "lightning")),
        paragraph(
            "5 training images in steps of 2, so that the second process has nothing to do in "
            "every third step; three stages, float32, gloo, one thread per process. Each row "
            "compares with one undisturbed process. Learning rates are the paper's (1e-4, "
            "2e-5, 1e-4) but for the last rows: Adam makes steps of that size also of "
            "gradients that are nothing but rounding."
        ),
        table(
            [
                "processes",
                "after stage",
                "largest relative difference of an epoch's loss",
                "of a weight, absolute",
            ],
            rows,
        ),
        "How a run of two ended that lost one by SIGKILL:",
        table(
            ["killed", "until the other had ended", "exit code", "lines beside the epochs'"],
            [
                [which(of.victim), f"{of.seconds:.1f} s", ending(of), " ".join(of.words)]
                for of in lost
            ],
        ),
        paragraph(
            "The exit code of a run is that of its first process. Tried on one machine alone; no "
            "GPU, no NCCL and no second machine was there."
        ),
    ]
    return "\n\n".join(parts) + "\n"


def which(victim: int) -> str:
    return "the first" if victim == 0 else "the second"


def ending(of: Lost) -> str:
    return str(of.code) if of.code >= 0 else f"killed ({signal.Signals(-of.code).name})"


def differences(run: Path, one: Path, stage: str) -> tuple[float, float]:
    """Of an epoch's loss, relative; of a weight."""
    ours, theirs = (
        [of.loss for of in read_history(folder / "history.csv") if of.stage == stage]
        for folder in (run, one)
    )
    loss = max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))
    mine, other = (load_file(of / "stages" / stage / "model.safetensors") for of in (run, one))
    weight = max(float((mine[name].double() - other[name].double()).abs().max()) for name in mine)
    return loss, weight


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
