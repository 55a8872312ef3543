"""A model against labelled images, at full resolution: all its answers in one pass."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from glnet.data import DatasetDescription, LabelledSample, SegmentationFolder
from glnet.errors import DatasetError, InputMismatchError
from glnet.evaluation.confusion import Confusion
from glnet.evaluation.report import Evaluation, Score, check_report, write_report
from glnet.geometry import strips
from glnet.inference.machine import resolved
from glnet.inference.streaming import Answer, Settings, answers_of, predict
from glnet.model.checkpoint import Model, load_model

ImageProgress = Callable[[str, int, int], None]
"""Told the image that is next, how many are done and how many there are."""


def evaluate(
    model: Model,
    samples: Sequence[LabelledSample],
    description: DatasetDescription,
    settings: Settings,
    progress: ImageProgress = lambda *_: None,
) -> Evaluation:
    """Predict every sample at full resolution and count its answers.

    Raises:
        InputMismatchError: If the dataset's classes are not the model's, or the bands differ.
        DatasetError: If there is no sample or no labelled pixel, or a mask does not fit.
        RasterError: If a file cannot be read.
    """
    if not samples:
        raise DatasetError("there is nothing to evaluate: the split has no images")
    _check_classes(model, description)
    answers = answers_of(model)
    counts = {answer: Confusion(model.num_classes) for answer in answers}
    for done, sample in enumerate(samples):
        progress(sample.stem, done, len(samples))
        _count(model, sample, description, settings, counts)
    progress("", len(samples), len(samples))
    total = int(counts[answers[0]].counts.sum())
    if not total:
        raise DatasetError("there is nothing to evaluate: the masks ignore every pixel")
    scores = {answer.value: _score(counts[answer], model) for answer in answers}
    return Evaluation(len(samples), total, scores)


def evaluate_folder(  # noqa: PLR0913 - what, with what, how; each may be left out alone
    model: Model | str | Path,
    data: str | Path,
    split: str,
    settings: Settings,
    *,
    description: str | Path | None = None,
    report: str | Path | None = None,
    overwrite: bool = False,
    progress: ImageProgress = lambda *_: None,
) -> Evaluation:
    """Evaluate a split of a folder, and write the report where one is asked for.

    Raises:
        CheckpointError: If the model does not load.
        ConfigurationError: If the description is not as it should be, or there is no such device.
        DatasetError: If the folder is not as described, or has no such split.
        InputMismatchError: If the dataset's classes are not the model's, or the bands differ.
        OutputError: If the report exists, or cannot be written (found out before the work).
        RasterError: If a file cannot be read.
    """
    if report is not None:
        check_report(Path(report), overwrite=overwrite)
    settings = resolved(settings)
    folder = SegmentationFolder.open(data, description)
    samples = folder.split(split)
    loaded = model if isinstance(model, Model) else load_model(model)
    evaluation = evaluate(loaded, samples, folder.description, settings, progress)
    if report is not None:
        write_report(evaluation, Path(report), overwrite=overwrite)
    return evaluation


def _count(
    model: Model,
    sample: LabelledSample,
    description: DatasetDescription,
    settings: Settings,
    counts: dict[Answer, Confusion],
) -> None:
    device = torch.device(settings.device)
    with (
        sample.open_labels(description) as labels,
        sample.open_image() as raster,
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
