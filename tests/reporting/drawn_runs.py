"""Folders as trainings and evaluations leave them, without training anything."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from glnet.evaluation.evaluate import described_config
from glnet.evaluation.illustrations import Illustration
from glnet.evaluation.report import Evaluation, ImageAnswer, ImageScore, Score
from glnet.evaluation.report_folder import About, write_folder
from glnet.inference.settings import Settings
from glnet.raster import write_picture
from glnet.training.following.history import History
from tests.model.tiny import tiny_model
from tests.training.following.some_rounds import looked_at

CLASSES = ("meadow", "lake")
ANSWERS = ("global", "local", "aggregated")
HOSTILE = '<script>alert("x")</script><img src=http://example.com/x.png>'

CONFIG = {
    "data": {"folder": "some/data", "dataset": "isic", "validation": "validation"},
    "architecture": {
        "network": "glnet",
        "backbone": "resnet18",
        "branches": "both",
        "sharing": "bidirectional",
        "sharing_depth": "deep",
        "aggregation": True,
    },
    "coarse_to_fine": None,
    "loss": {"regularization": 0.15},
    "stages": {
        "coarse": {"epochs": 9},
        "context": {"epochs": 4},
        "local": {"epochs": 3},
        "refined": {"epochs": 2},
    },
}


def an_evaluation(classes: tuple[str, ...] = CLASSES, images: int = 3) -> Evaluation:
    """Every answer takes a quarter of the first class for the second."""
    counts = [[0] * len(classes) for _ in range(len(classes) + 1)]
    for label in range(len(classes)):
        counts[label][label] = 75
    counts[0][1] = 25
    score = Score(dict.fromkeys(classes, 0.75), 0.75, 0.86)
    names = [f"image {number}" for number in range(images)]
    return Evaluation(
        images,
        175,
        dict.fromkeys(ANSWERS, score),
        confusions=dict.fromkeys(ANSWERS, counts),
        per_image=tuple(
            ImageScore(
                name,
                None,
                60,
                dict.fromkeys(ANSWERS, ImageAnswer(0.1 * number, dict(score.iou), 0.7, 0.8)),
            )
            for number, name in enumerate(names)
        ),
    )


def write_evaluation(folder: Path, evaluation: Evaluation | None = None) -> Path:
    """The folder of ``glnet evaluate --report``, with one picture."""
    model = tiny_model("deep")
    about = About(
        "a model",
        "some/data",
        "validation",
        Settings(),
        described_config(model),
        "64x80",
        {"global": 2**20, "local": 2 * 2**20, "aggregated": 3 * 2**20},
    )
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    worst = Illustration("worst 1: image 0, score 0.0 %", "worst_1_image_0.png", picture)
    write_folder(folder, evaluation or an_evaluation(), about, [worst])
    return folder


def write_run(folder: Path, *, stages: tuple[str, ...] = ("context", "local", "refined")) -> Path:
    """The folder of a training that has come so far, without scores."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    facts = {"versions": {"torch": "9.9"}, "python": "3.11", "seed": 7, "hardware": {"cores": "2"}}
    (folder / "run.json").write_text(json.dumps(facts))
    history = History(folder / "history.csv")
    for stage in stages:
        for epoch in (1, 2):
            history.append(looked_at(stage, epoch, 0.3 + 0.1 * epoch))
    return folder


def finish(run: Path) -> Path:
    """Leave a model, as the last stage does."""
    (run / "model").mkdir()
    (run / "model" / "config.json").write_text("{}")
    picture = np.full((30, 90, 3), 120, np.uint8)
    place = run / "pictures" / "image 0"
    place.mkdir(parents=True)
    write_picture(place / "refined-002.png", picture)
    return run


def renamed(evaluation: Evaluation, name: str) -> Evaluation:
    """The same with another name for the first image."""
    first, *others = evaluation.per_image
    return replace(evaluation, per_image=(replace(first, stem=name), *others))
