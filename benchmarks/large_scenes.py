"""GLNet, and networks that see the whole image, on scenes too large for 2 GiB.

    python -m benchmarks.large_scenes [--seeds 0 1 2] [--output runs/large_scenes] [--side 6784]
        [--rows glnet icnet/2]

A row is GLNet, or a compared network and by how much it shrinks the scenes. They are as large as is
needed for ICNet, of the compared networks the one that takes the least memory, to have to shrink
them by 2 within 2 GiB; the others must shrink them further. Stripes
and checks, which tell meadow from orchard, and in half of the scenes red country from blue, are of
2 px, so that they are gone then. Besides what was trained, the result tells what a network can
expect at most that knows everything but the textures. Called again, it goes on where it was
stopped. Writes a dated file into benchmarks/results.
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common import ROOT, heading, paragraph, table, write_result
from glnet.baselines.building import NETWORKS
from glnet.cli.training_display import epoch_line
from glnet.data import LabelledDataset, LabelledSample, SceneSettings, make_scene, open_dataset
from glnet.data.scene_files import write_dataset
from glnet.data.synthetic import STRIP_HEIGHT
from glnet.evaluation.confusion import Counts
from glnet.evaluation.evaluate import evaluate_folder
from glnet.geometry import Size, strips
from glnet.inference.settings import Settings
from glnet.inference.streaming import answers_of
from glnet.model.checkpoint import load_model
from glnet.reproduction.effort import VGG
from glnet.reproduction.measuring import MIB, estimated, parameters_of
from glnet.reproduction.methods import NAMES
from glnet.training.config import TrainingConfig
from glnet.training.config_file import read_config
from glnet.training.run import Watchers, train

_NAMES: dict[str, str] = {str(name): words for name, words in NAMES.items()}
GLNET = "glnet"
PERIOD = 2
WOVEN = 0.5


class Row(NamedTuple):
    """What is trained.

    Attributes:
        network: GLNet, or a compared one.
        shrunk: By how much a compared one shrinks the whole scene; 0 for GLNet.
    """

    network: str
    shrunk: int

    @classmethod
    def parse(cls, word: str) -> "Row":
        """From ``glnet``, or a network and a number such as ``icnet/2``."""
        if word == GLNET:
            return cls(GLNET, 0)
        network, _, shrunk = word.partition("/")
        times = int(shrunk) if shrunk.isdecimal() else 0
        if network not in NETWORKS or times == 0 or times % PERIOD:
            raise argparse.ArgumentTypeError(
                f"expected {GLNET}, or one of {', '.join(NETWORKS)} with / and a multiple of "
                f"{PERIOD}, got {word!r}"
            )
        return cls(network, times)

    @property
    def key(self) -> str:
        """In the names of its files."""
        return self.network if self.network == GLNET else f"{self.network}_{self.shrunk}"

    @property
    def title(self) -> str:
        """In the table."""
        if self.network == GLNET:
            return "GLNet: both directions"
        return f"{_NAMES[self.network]}, whole scene, shrunk by {self.shrunk}"

    def changes(self, side: int) -> list[str]:
        """Of the configuration, for scenes of a side."""
        if self.network == GLNET:
            return []
        vgg = ["--architecture.backbone=vgg11_bn"] if self.network in VGG else []
        return [
            *vgg,
            *(f"--architecture.network={self.network}", "--architecture.branches=global"),
            *("--architecture.sharing=none", "--architecture.aggregation=false"),
            *("--stages.context.images=1", "--stages.context.micro_batch=1"),
            f"--framing.thumbnail_size={side // self.shrunk}",
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=Path("runs/large_scenes"))
    rows = [Row(GLNET, 0), Row("icnet", 2)]
    parser.add_argument("--rows", type=Row.parse, nargs="+", metavar="ROW", default=rows)
    parser.add_argument("--side", type=int, default=6784, help="of the scenes")
    parser.add_argument("--scenes", type=int, nargs=2, default=[24, 8], metavar=("TRAIN", "TEST"))
    parser.add_argument("--drawn-from", type=int, default=7, help="the seed of the first scene")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("overrides", nargs="*", help="--key value of the configuration, after --")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = options.output / "data"
    settings = SceneSettings(Size(options.side, options.side), period=PERIOD, woven=WOVEN)
    if not data.exists():
        counts = dict(zip(("train", "validation"), options.scenes, strict=True))
        write_dataset(data, settings, counts, options.drawn_from, suffix=".tif")
    lines = [
        _line(row, [_score(row, seed, options) for seed in options.seeds], options)
        for row in options.rows
    ]
    first = options.drawn_from + options.scenes[0]
    ceiling = _without_textures(open_dataset(data), settings, first)
    write_result("large-scenes", _report(lines, ceiling, options))


def _score(row: Row, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Train a row and score its own answer on the validation split; kept in a file."""
    folder = options.output / f"seed_{seed}"
    kept = folder / f"{row.key}.json"
    if not kept.is_file():
        began = time.monotonic()
        config = _configuration(row, seed, options)
        line = f"seed {seed}, {row.key}"
        train(
            config,
            Watchers(lambda moment: print(f"{line}: {epoch_line(moment)}", flush=True)),
            resume=True,
        )
        seconds = time.monotonic() - began
        model = Path(config.output) / "model"
        own = answers_of(load_model(model))[-1]
        evaluation = evaluate_folder(
            model, config.data.folder, "validation", Settings(device="cpu", patch_batch=4)
        )
        kept.write_text(
            json.dumps({"miou": 100 * evaluation.answers[own].mean_iou, "seconds": seconds})
        )
    values: dict[str, float] = json.loads(kept.read_text())
    print(f"seed {seed}, {row.key}: {values['miou']:.1f} in {values['seconds']:.0f} s", flush=True)
    return values


def _configuration(row: Row, seed: int, options: argparse.Namespace) -> TrainingConfig:
    output = options.output / f"seed_{seed}" / row.key
    words = [f"--data.folder={options.output / 'data'}", f"--output={output}"]
    file = ROOT / "configs" / "synthetic" / "large.yaml"
    changes = [f"--run.seed={seed}", *row.changes(options.side), *options.overrides]
    return read_config(file, [*words, *changes])


def _line(row: Row, scores: Sequence[dict[str, float]], options: argparse.Namespace) -> list[str]:
    """Of the table: the row's scores, and what predicting a scene takes."""
    config = _configuration(row, options.seeds[0], options)
    model = load_model(Path(config.output) / "model")
    cost = estimated(model, Size(options.side, options.side))
    values = [score["miou"] for score in scores]
    scatter = f"{statistics.stdev(values):.1f}" if len(values) > 1 else "-"
    return [
        row.title,
        f"**{statistics.mean(values):.1f}**",
        scatter,
        ", ".join(f"{value:.1f}" for value in values),
        f"{cost.device_bytes / MIB:.0f}",
        f"{parameters_of(model) / 1e6:.1f}",
        f"{cost.multiply_adds / 1e9:.0f}",
        f"{statistics.mean(score['seconds'] for score in scores) / 60:.0f}",
    ]


def _without_textures(data: LabelledDataset, settings: SceneSettings, first: int) -> float:
    """The mean IoU, in %, that one expects who knows all of the scenes but their textures.

    Fields are then meadow or orchard with equal chances, and lakes in woven country red or blue.
    The IoU of two such classes is largest where each is said of half of them: so the mean over all
    ways to say it the right or the wrong way round, scene by scene.
    """
    told = []
    for number, sample in enumerate(data.split("validation")):
        pixels = _pixels_of_classes(data, sample)
        right = np.diag(pixels)
        swapped = [0, 2, 1, 4, 3] if _is_woven(settings, first + number) else [0, 2, 1, 3, 4]
        told.append((right, right[:, swapped]))
    ignored = np.zeros(len(told[0][0]), np.int64)
    return 100 * statistics.mean(
        Counts(np.sum(chosen, axis=0), ignored).mean_iou for chosen in itertools.product(*told)
    )


def _pixels_of_classes(data: LabelledDataset, sample: LabelledSample) -> NDArray[np.int64]:
    classes = len(data.description.classes)
    counted = np.zeros(classes, np.int64)
    with sample.open_labels(data.description) as labels:
        for strip in strips(labels.size, STRIP_HEIGHT):
            counted += np.bincount(labels.read(strip).ravel(), minlength=classes)
    return counted


def _is_woven(settings: SceneSettings, seed: int) -> bool:
    """Whether a scene's countries differ by texture alone; its layout is the same at any size."""
    small = replace(settings, size=Size(64, 64))
    drawn, plain = make_scene(small, seed), make_scene(replace(small, woven=0.0), seed)
    return bool((drawn.labels != plain.labels).any())


def _report(lines: list[list[str]], ceiling: float, options: argparse.Namespace) -> str:
    trained, scored = options.scenes
    columns = [
        *("network", "mIoU (%)", "spread over seeds", "each seed", "device memory (MiB)"),
        *("parameters (M)", "multiply-adds (G)", "minutes of training"),
    ]
    about = f"""{trained} drawn scenes of {options.side}x{options.side} px (period {PERIOD}, a share
        of {WOVEN:g} woven, the first of seed {options.drawn_from}) to train on, {scored} others
        scored at full resolution; configs/synthetic/large.yaml. Memory and multiply-adds:
        estimated for a scene on a GPU, batch 1."""
    bound = f"""Who knows all of these {scored} scenes but their textures can expect
        **{ceiling:.1f}**: of meadow and orchard, and of the lakes in woven country, half is then
        said wrongly, whatever the network and its training. That holds for all whose scenes are
        shrunk by whole periods."""
    return "\n".join(
        [
            heading("Scenes too large for a whole-image network within 2 GiB"),
            paragraph(about),
            "",
            table(columns, lines),
            "",
            paragraph(bound),
            "",
        ]
    )


if __name__ == "__main__":
    main()
