"""What benchmarks share: a stage made ready as training does, clocks, and the dated result."""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from glnet.data import open_dataset
from glnet.model.config import Architecture, Framing
from glnet.training.config import DataConfig, RunConfig, StageConfig, StagesConfig, TrainingConfig
from glnet.training.images import Thumbnail
from glnet.training.portions import Portion
from glnet.training.preparation import Setup, Stage
from glnet.training.stages import StageModule
from glnet.training.steps import Losses, Step

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CPU = torch.device("cpu")

# What is prepared


def configuration(
    data: Path,
    architecture: Architecture,
    framing: Framing,
    stage: StageConfig,
    run: RunConfig | None = None,
) -> TrainingConfig:
    """All three stages alike; images are read by windows, where their files allow it."""
    return TrainingConfig(
        data=DataConfig(folder=str(data), cache_mib=0),
        output="",
        architecture=architecture,
        framing=framing,
        stages=StagesConfig(context=stage, local=stage, refined=stage),
        run=run or RunConfig(device="cpu"),
    )


def prepared(config: TrainingConfig, name: str) -> Stage:
    """A stage as it is before its first step; all weights are fresh."""
    setup = Setup(config, open_dataset(config.data.folder))
    (stage,) = (of for of in setup.stages() if of.name == name)
    StageModule(stage.step, stage.config, config.run, stage.feeds).hold()
    return stage


class Descent:
    """Differentiates, and nothing else."""

    scale = 1.0

    def __call__(self, loss: Tensor) -> None:
        """Add the gradients of a scalar."""
        loss.backward()  # type: ignore[no-untyped-call]


def descend(step: Step, portions: Iterable[Portion]) -> Losses:
    """Run a step portion by portion; gradients are those of this step alone."""
    step.network.zero_grad()
    losses: Losses = {}
    for portion in portions:
        for name, of in step.see(portion, Descent()).losses.items():
            losses[name] = losses.get(name, torch.zeros(())) + of
    return losses


def cast(portion: Portion, dtype: torch.dtype) -> Portion:
    """The same portion with pixels of another precision."""

    def small(of: Thumbnail | None) -> Thumbnail | None:
        return None if of is None else of._replace(pixels=of.pixels.to(dtype))

    opening = portion.opening
    return portion._replace(
        thumbnails=small(portion.thumbnails),
        opening=opening and opening._replace(thumbnail=small(opening.thumbnail)),
        pixels=None if portion.pixels is None else portion.pixels.to(dtype),
    )


def gradients(step: Step) -> dict[str, Tensor]:
    """Of all parameters that have one, by name."""
    named = step.network.named_parameters()
    return {name: of.grad.clone() for name, of in named if of.grad is not None}


def distance(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    """The largest difference of two families of tensors, in shares of the largest number."""
    assert set(ours) == set(theirs)
    largest = max(float(of.abs().max()) for of in theirs.values())
    return max(float((ours[name] - of).abs().max()) for name, of in theirs.items()) / largest


# What is asked for


def natural(word: str) -> int:
    """A whole number of at least 1, from the command line."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {word}")
    return int(word)


# What is measured


def interleaved(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every run, round by round, so that a slow moment of the machine meets them all."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def multiply_adds(run: Callable[[], object]) -> float:
    """In 10^9; convolutions and matrix products, forward and backward. Also warms up."""
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops()) / 2e9


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def mebibytes(number: float) -> str:
    """Bytes as a table shows them."""
    return f"{number / 2**20:.{0 if number >= 100 * 2**20 else 1}f}"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median, and behind it the range, where there is one."""
    middle, least, most = statistics.median(values), min(values), max(values)
    spanned = f" ({least:.{digits}f} to {most:.{digits}f})" if len(values) > 1 else ""
    return f"{middle:.{digits}f}{spanned}"


def ask(module: str, *words: object) -> str:
    """Run a benchmark's own case in a fresh process; its last printed line."""
    command = [sys.executable, "-m", module, *map(str, words)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return answer.stdout.strip().splitlines()[-1]


# What is written


def heading(title: str, packages: Sequence[str] = ("torch", "timm")) -> str:
    """Title, date, machine, versions, commit, and how to do it again."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    words = [Path(of).name if Path(of).exists() else of for of in sys.argv]
    again = " ".join([Path(words[0]).stem, *words[1:]])
    return f"""# {title}

- date: {datetime.now(UTC):%Y-%m-%d}, commit {_commit()}
- machine: {_processor()}, {torch.get_num_threads()} threads, {platform.system()}; load while it \
ran: {os.getloadavg()[1]:.1f}
- Python {platform.python_version()}, {versions}
- again: `python -m benchmarks.{again}`
"""


def device_name(device: str) -> str:
    """What a result calls a device."""
    return torch.cuda.get_device_name(device) if device != "cpu" else "CPU"


def write_result(name: str, text: str) -> Path:
    """Into a dated file, which is returned, and onto the screen."""
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-{name}.md"
    target.write_text(text)
    print(text, f"\nwritten to {target}", sep="\n")
    return target


def paragraph(text: str) -> str:
    """Words in lines of a result's width."""
    return textwrap.fill(" ".join(text.split()), 100)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _commit() -> str:
    def git(*words: str) -> str:
        command = ["git", *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT
        ).stdout.strip()

    is_changed = git("status", "--porcelain", "--untracked-files=no", "src")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" and changes" * bool(is_changed))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        name = platform.processor()
    return f"{name}, {os.cpu_count()} cores"
