"""The rows of the paper's Table 4, with and without boxes, trained from scratch.

    python -m benchmarks.table4 DATA [--output runs/table4] [-- --key value ...]

``DATA`` is a folder of binary images such as ISIC's, described by ``--config`` (by default that of
configs/isic_512). Every row is a model of its own; what two rows have in common is trained once:
the branch that sees whole images is both the global branch alone and the coarse branch of the rows
with boxes. Called again, it goes on where it was stopped. Writes a dated file into
benchmarks/results.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.common import ROOT, heading, paragraph, table, write_result
from glnet.cli.training_display import epoch_line
from glnet.evaluation.evaluate import evaluate_folder
from glnet.evaluation.protocols import ISIC_THRESHOLD
from glnet.inference.streaming import Settings
from glnet.training.config_file import read_config
from glnet.training.run import Watchers, train

GLOBAL = ["--architecture.branches=global", "--architecture.sharing=none"]
LOCAL = ["--architecture.branches=local", "--architecture.sharing=none"]
ALONE = ["--architecture.aggregation=false"]
DEEP = ["--architecture.sharing=global_to_local"]
BOXES = ["--coarse_to_fine.boxes=one"]


class Row(NamedTuple):
    """A row of the table: what it changes of the configuration, and what it goes on from."""

    title: str
    changes: Sequence[str]
    start: str | None = None


ROWS = {
    "global_only": Row("global only", [*GLOBAL, *ALONE]),
    "global_only_boxes": Row("global only", [*GLOBAL, *ALONE, *BOXES], "global_only"),
    "deep": Row("GLNet, global to local", DEEP, "global_only"),
    "deep_boxes": Row("GLNet, global to local", [*DEEP, *BOXES], "global_only_boxes"),
    "bidirectional": Row("GLNet, both directions", [], "deep"),
    "bidirectional_boxes": Row("GLNet, both directions", BOXES, "deep_boxes"),
    "local_only": Row("local only", [*LOCAL, *ALONE]),
    "local_only_boxes": Row("local only", [*LOCAL, *ALONE, *BOXES], "global_only"),
}
"""In the order in which they are trained."""

SHOWN = (
    *("global_only", "global_only_boxes", "local_only", "local_only_boxes"),
    *("deep", "deep_boxes", "bidirectional", "bidirectional_boxes"),
)
THRESHOLDED, JACCARD = f"Jaccard, 0 if under {ISIC_THRESHOLD}", "Jaccard"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("runs/table4"))
    parser.add_argument("--config", default=str(ROOT / "configs/isic_512/table4.yaml"))
    parser.add_argument("overrides", nargs="*", help="--key value of the configuration, after --")
    options = parser.parse_args()
    scores = {name: _score(name, options) for name in ROWS}
    write_result("table4", _report(scores))


def _score(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Train a row and score its own answer on the validation split; kept in a file."""
    row, kept = ROWS[name], options.output / f"{name}.json"
    if not kept.is_file():
        words = [f"--data.folder={options.data}", f"--output={options.output / name}"]
        if row.start is not None:
            words.append(f"--start_from={options.output / row.start / 'model'}")
        config = read_config(options.config, [*words, *row.changes, *options.overrides])
        began = time.monotonic()
        train(
            config, Watchers(lambda at: print(f"{name}: {epoch_line(at)}", flush=True)), resume=True
        )
        seconds = time.monotonic() - began
        found = evaluate_folder(
            Path(config.output) / "model",
            config.data.folder,
            config.data.validation,
            Settings(patch_batch=16),
            kind=config.data.dataset,
            description=config.data.description,
            protocol="isic",
        )
        own = list(found.answers)[-1]
        figures = next(iter(found.figures[own].values()))
        score = found.answers[own]
        kept.write_text(
            json.dumps(
                {
                    "mIoU": score.mean_iou,
                    "lesion": list(score.iou.values())[1],
                    THRESHOLDED: figures[THRESHOLDED],
                    JACCARD: figures[JACCARD],
                    "minutes": seconds / 60,
                }
            )
        )
    values: dict[str, float] = json.loads(kept.read_text())
    print(f"{name}: {values}", flush=True)
    return values


def _report(scores: dict[str, dict[str, float]]) -> str:
    rows = [
        [
            ROWS[name].title,
            "yes" if name.endswith("_boxes") else "",
            *(f"{100 * scores[name][of]:.2f}" for of in ("mIoU", "lesion", THRESHOLDED, JACCARD)),
            f"{scores[name]['minutes']:.1f}",
        ]
        for name in SHOWN
    ]
    text = paragraph(
        "Each row's own answer at full resolution on all validation images, in %; one run each, "
        "seed 0, settings not searched. Minutes are those of what the row does not share with one "
        "that it goes on from."
    )
    columns = ("row", "box", "mIoU", "IoU", "Jaccard, 0 under 0.65", "Jaccard", "minutes")
    return f"{heading('Table 4 from scratch')}\n{text}\n\n{table(columns, rows)}\n"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
