"""A model against labelled images, at full resolution: all its answers in one pass."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch

from glnet.data import DatasetDescription, Sample, open_labels
from glnet.errors import InputMismatchError
from glnet.evaluation.confusion import Confusion
from glnet.geometry import strips
from glnet.inference.streaming import Answer, Settings, answers_of, predict
from glnet.model.checkpoint import Model
from glnet.raster import open_raster

ImageProgress = Callable[[str, int, int], None]
"""Told the image that is next, how many are done and how many there are."""


@dataclass(frozen=True)
class Score:
    """How good one answer is.

    Attributes:
        iou: Per class name; None where the class occurs neither in the masks nor in the answers.
        mean_iou: Over the classes that occur.
        accuracy: Share of pixels.
    """

    iou: dict[str, float | None]
    mean_iou: float
    accuracy: float


@dataclass(frozen=True)
class Evaluation:
    """Scores of the global, the local and the aggregated answer, as far as the model has them."""

    images: int
    pixels: int
    answers: dict[str, Score]

    def to_dict(self) -> dict[str, object]:
        """Plain numbers, for JSON."""
        return asdict(self)


def evaluate(
    model: Model,
    samples: Sequence[Sample],
    description: DatasetDescription,
    settings: Settings,
    progress: ImageProgress = lambda *_: None,
) -> Evaluation:
    """Predict every sample at full resolution and count its answers.

    Raises:
        InputMismatchError: If the dataset's classes are not the model's, or the bands differ.
        DatasetError: If there is no sample, or a mask does not fit.
        RasterError: If a file cannot be read.
    """
    _check_classes(model, description)
    answers = answers_of(model)
    counts = {answer: Confusion(model.num_classes) for answer in answers}
    for done, sample in enumerate(samples):
        progress(sample.stem, done, len(samples))
        _count(model, sample, description, settings, counts)
    progress("", len(samples), len(samples))
    total = int(counts[answers[0]].counts.sum())
    scores = {answer.value: _score(counts[answer], model) for answer in answers}
    return Evaluation(len(samples), total, scores)


def _count(
    model: Model,
    sample: Sample,
    description: DatasetDescription,
    settings: Settings,
    counts: dict[Answer, Confusion],
) -> None:
    device = torch.device(settings.device)
    with (
        open_labels(sample, description) as labels,
        open_raster(sample.image) as raster,
        predict(model, raster, settings, tuple(counts)) as prediction,
    ):
        for strip in strips(raster.size, prediction.strip_height()):
            truth = labels.read(strip)
            for answer, confusion in counts.items():
                confusion.add(prediction.labels(answer, strip, device), truth)


def _score(confusion: Confusion, model: Model) -> Score:
    names = [info.name for info in model.config.classes]
    iou = {
        name: None if value != value else float(value)  # noqa: PLR0124 - NaN
        for name, value in zip(names, confusion.iou, strict=True)
    }
    return Score(iou, confusion.mean_iou, confusion.accuracy)


def _check_classes(model: Model, description: DatasetDescription) -> None:
    ours = [info.name for info in model.config.classes]
    theirs = [info.name for info in description.classes]
    if ours != theirs:
        raise InputMismatchError(
            f"the model knows the classes {', '.join(ours)}; the dataset has {', '.join(theirs)}"
        )
