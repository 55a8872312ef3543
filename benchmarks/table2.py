"""The rows of the paper's Table 2 on drawn scenes: several seeds, mean and spread.

    python benchmarks/table2.py [--seeds 0 1 2] [--output runs/table2] [--scenes 24 8] [--woven 0.5]

Rows are the files of configs/synthetic. Every seed draws its own scenes. Rows of a seed share what
is the same in all of them: the context branch is trained once, and the bidirectional row goes on
from the deep one. Called again, it goes on where it was stopped. Writes a dated file into
benchmarks/results.
"""

import argparse
import json
import platform
import statistics
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from glnet.cli.training_display import epoch_line
from glnet.data import SceneSettings, write_dataset
from glnet.evaluation.evaluate import evaluate_folder
from glnet.geometry import Size
from glnet.inference.streaming import Answer, Settings
from glnet.training.config import TrainingConfig
from glnet.training.config_file import read_config
from glnet.training.run import Watchers, train

ROWS = {
    "local_only": "local only",
    "global_only": "global only",
    "aggregation": "GLNet: aggregation",
    "regularization": "GLNet: aggregation, regularisation",
    "shallow": "GLNet: + global to local, shallow",
    "deep": "GLNet: + global to local, deep",
    "bidirectional": "GLNet: + both directions, deep",
}
STARTS = {
    **dict.fromkeys(("aggregation", "regularization", "shallow", "deep"), "global_only"),
    "bidirectional": "deep",
}
"""Which row's model a row goes on from: what it has trained is the same there."""

HERE = Path(__file__).parent
SIDE = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=Path("runs/table2"))
    parser.add_argument("--scenes", type=int, nargs=2, default=[24, 8], metavar=("TRAIN", "TEST"))
    parser.add_argument("--woven", type=float, default=0.5, help="share of woven scenes")
    parser.add_argument("overrides", nargs="*", help="--key value of the configuration, after --")
    options = parser.parse_args()
    scores = {seed: {row: _score(row, seed, options) for row in ROWS} for seed in options.seeds}
    text = _table(scores, options)
    target = HERE / "results" / f"{datetime.now(UTC):%Y-%m-%d}-table2-synthetic.md"
    target.write_text(text)
    print(text, f"\nwritten to {target}", sep="\n")


def _score(row: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """The mIoU of the row's own answer on unseen scenes, and what it cost; kept in a file."""
    folder = options.output / f"seed_{seed}"
    kept = folder / f"{row}.json"
    if not kept.is_file():
        began = time.monotonic()
        config = _config(row, seed, folder, options)
        train(
            config,
            Watchers(lambda moment: print(f"seed {seed}, {row}: {epoch_line(moment)}")),
            resume=True,
        )
        seconds = time.monotonic() - began
        answers = evaluate_folder(
            Path(config.output) / "model",
            config.data.folder,
            "validation",
            Settings(patch_batch=16),
        ).answers
        own = list(Answer)[max(list(Answer).index(Answer(name)) for name in answers)]
        values = {name: score.mean_iou for name, score in answers.items()}
        kept.write_text(json.dumps({"own": values[own], **values, "seconds": seconds}))
    values = json.loads(kept.read_text())
    print(f"seed {seed}, {row}: {100 * values['own']:.1f} in {values['seconds']:.0f} s", flush=True)
    return dict(values)


def _config(row: str, seed: int, folder: Path, options: argparse.Namespace) -> TrainingConfig:
    data = folder / "data"
    if not data.exists():
        counts = dict(zip(("train", "validation"), options.scenes, strict=True))
        write_dataset(data, SceneSettings(size=Size(SIDE, SIDE), woven=options.woven), counts, seed)
    words = ["--data.folder", str(data), "--output", str(folder / row), "--run.seed", str(seed)]
    if row in STARTS:
        words += ["--start_from", str(folder / STARTS[row] / "model")]
    file = HERE.parent / "configs" / "synthetic" / f"{row}.yaml"
    return read_config(file, [*words, *options.overrides])


def _table(scores: dict[int, dict[str, dict[str, float]]], options: argparse.Namespace) -> str:
    seeds = list(scores)
    lines = [
        "# Table 2's rows on drawn scenes",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; mIoU in % at full resolution on {options.scenes[1]} unseen "
        f"scenes of {SIDE}x{SIDE}, {options.scenes[0]} scenes train, of both a share of "
        f"{options.woven:g} woven (`glnet/data/synthetic.py`); seeds "
        f"{', '.join(map(str, seeds))}, each with scenes of its own; "
        f"glnet {version('glnet')}, torch {version('torch')}, Python {platform.python_version()}, "
        f"{platform.machine()}. Spread is the standard deviation over seeds. Seconds are those of "
        "the stages that the row does not share with an earlier one.",
        "",
        "    python benchmarks/table2.py " + " ".join(options.overrides),
        "",
        "| row | mean | spread | " + " | ".join(f"seed {seed}" for seed in seeds) + " | seconds |",
        "|---" * (len(seeds) + 4) + "|",
    ]
    for row, title in ROWS.items():
        values = [100 * scores[seed][row]["own"] for seed in seeds]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        seconds = statistics.mean(scores[seed][row]["seconds"] for seed in seeds)
        each = " | ".join(f"{value:.1f}" for value in values)
        lines.append(
            f"| {title} | {statistics.mean(values):.1f} | {spread:.1f} | {each} | {seconds:.0f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
