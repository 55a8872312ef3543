"""A model against labelled images, at full resolution: all its answers in one pass."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from glnet.data import (
    IGNORE_INDEX,
    DatasetDescription,
    DatasetKind,
    LabelledDataset,
    LabelledSample,
    SegmentationFolder,
    open_dataset,
)
from glnet.errors import ConfigurationError, DatasetError, InputMismatchError
from glnet.evaluation.checking import check_files
from glnet.evaluation.confusion import Confusion, Counts
from glnet.evaluation.illustrations import choices, show_confusions, show_images
from glnet.evaluation.memory import (
    check_memory,
    estimated_memory,
    evaluation_bytes,
    largest_size,
)
from glnet.evaluation.opening import opened
from glnet.evaluation.protocols import (
    PROTOCOL_OF_KIND,
    PROTOCOLS,
    ImageCounts,
    Protocol,
    ProtocolName,
    total,
)
from glnet.evaluation.report import (
    Evaluation,
    ImageAnswer,
    ImageScore,
    Score,
    check_report,
    write_report,
)
from glnet.evaluation.report_folder import About, check_folder, write_folder
from glnet.geometry import Size, strips
from glnet.inference.machine import explained_memory, resolved
from glnet.inference.predictor import Predictor
from glnet.inference.streaming import (
    Answer,
    Settings,
    answers_of,
    is_coarse_to_fine,
)
from glnet.model.checkpoint import Model

ImageProgress = Callable[[str, int, int], None]
"""Told the image that is next, how many are done and how many there are."""

CountsOfAnswers = dict[Answer, Counts]


@dataclass(frozen=True)
class ReportFolder:
    """A report with pictures that is asked for.

    Attributes:
        path: Where to.
        pictures: How many of the worst images it shows, and of the best.

    Raises:
        ConfigurationError: If the number is negative.
    """

    path: Path
    pictures: int = 3

    def __post_init__(self) -> None:
        if self.pictures < 0:
            raise ConfigurationError(f"pictures must be 0 or more, got {self.pictures}")


@dataclass(frozen=True)
class Rules:
    """By what answers are judged.

    Attributes:
        protocol: How they are scored.
        groups: What images belong to (Inria: their cities), by stem.
    """

    protocol: ProtocolName = "generic"
    groups: Mapping[str, str] = field(default_factory=dict)


def evaluate(
    model: Model,
    samples: Sequence[LabelledSample],
    description: DatasetDescription,
    settings: Settings,
    progress: ImageProgress = lambda *_: None,
    rules: Rules = Rules(),
) -> Evaluation:
    """Predict every sample at full resolution and count its answers.

    The headers of all files are checked before the first prediction, and whether a memory that is
    named is enough for all images. What only shows in the pixels, such as a colour that is no
    class, ends the evaluation where it is met.

    Raises:
        InputMismatchError: If the dataset's classes are not the model's, or the bands differ.
        ConfigurationError: If the protocol cannot score these classes, there is no such device, or
            not enough memory.
        DatasetError: If there is no sample or no labelled pixel, or masks do not fit.
        RasterError: If a file cannot be read.
    """
    predictor = Predictor(model, settings, keeps_all=True)
    return _evaluated(predictor, samples, description, progress, rules)


def _evaluated(
    predictor: Predictor,
    samples: Sequence[LabelledSample],
    description: DatasetDescription,
    progress: ImageProgress,
    rules: Rules,
) -> Evaluation:
    """As `evaluate`."""
    if not samples:
        raise DatasetError("there is nothing to evaluate: the split has no images")
    model = predictor.model
    _check_classes(model, description)
    PROTOCOLS[rules.protocol].check(class_names(model))
    check_files(samples, description, model.bands, progress)
    check_memory(samples, description, predictor)
    found = []
    for done, sample in enumerate(samples):
        progress(sample.stem, done, len(samples))
        found.append(_count(predictor, sample, description))
    progress("", len(samples), len(samples))
    evaluation = judged(found, samples, class_names(model), rules)
    if not evaluation.pixels:
        raise DatasetError("there is nothing to evaluate: the masks ignore every pixel")
    formed = predictor.formed
    return replace(evaluation, compiled=formed.is_compiled, note=formed.note)


def evaluate_folder(  # noqa: PLR0913 - what, with what, how; each may be left out alone
    model: Model | str | Path,
    data: str | Path | LabelledDataset,
    split: str,
    settings: Settings,
    *,
    kind: DatasetKind = "folder",
    description: str | Path | None = None,
    protocol: ProtocolName | None = None,
    report: str | Path | None = None,
    report_folder: ReportFolder | None = None,
    overwrite: bool = False,
    progress: ImageProgress = lambda *_: None,
) -> Evaluation:
    """Evaluate a split of a dataset, and write the reports that are asked for.

    The images that a report shows are predicted once more, since labels are not kept. Without a
    protocol, it is the one of the benchmark.

    Raises:
        CheckpointError: If the model does not load.
        ConfigurationError: If the description is not as it should be, there is no such device or
            not enough memory, or the protocol cannot score these classes.
        DatasetError: If the folder is not as described, or has no such split.
        InputMismatchError: If the dataset's classes are not the model's, or the bands differ.
        OutputError: If a report exists, or cannot be written (found out before the work).
        RasterError: If a file cannot be read.
    """
    if report is not None:
        check_report(Path(report), overwrite=overwrite)
    if report_folder is not None:
        check_folder(report_folder.path, overwrite=overwrite)
    settings = resolved(settings)
    folder = open_dataset(data, kind, description) if isinstance(data, str | Path) else data
    rules = Rules(protocol or _protocol_of(folder), folder.groups)
    samples = folder.split(split)
    predictor = Predictor(model, settings, keeps_all=True)
    evaluation = _evaluated(predictor, samples, folder.description, progress, rules)
    if report is not None:
        write_report(evaluation, Path(report), overwrite=overwrite)
    if report_folder is not None:
        chosen = choices(evaluation, report_folder.pictures)
        shown = show_images(chosen, predictor, samples, folder.description, progress)
        shown += show_confusions(evaluation, class_names(predictor.model))
        about = _about(model, folder.name, split, predictor, evaluation, largest_size(samples))
        write_folder(report_folder.path, evaluation, about, shown, overwrite=overwrite)
    return evaluation


def _about(
    model: Model | str | Path,
    data: str,
    split: str,
    predictor: Predictor,
    evaluation: Evaluation,
    largest: Size,
) -> About:
    """What a report says of where its numbers come from."""
    return About(
        "given as an object" if isinstance(model, Model) else str(model),
        data,
        split,
        predictor.settings,
        described_config(predictor.model),
        str(largest),
        estimated_memory(predictor.model, list(evaluation.answers), largest),
    )


def described_config(model: Model) -> dict[str, object]:
    """A model's configuration in plain values; colours as ``#rrggbb``."""
    classes = [info.to_dict() for info in model.config.classes]
    return {**asdict(model.config), "classes": classes}


def _protocol_of(dataset: LabelledDataset) -> ProtocolName:
    """A benchmark's own rules; generic ones for images of any other kind."""
    return PROTOCOL_OF_KIND[dataset.kind] if isinstance(dataset, SegmentationFolder) else "generic"


def judged(
    found: Sequence[CountsOfAnswers],
    samples: Sequence[LabelledSample],
    names: Sequence[str],
    rules: Rules,
) -> Evaluation:
    """What the counts of every sample say, by the rules."""
    protocol = PROTOCOLS[rules.protocol]
    groups = [rules.groups.get(sample.stem) for sample in samples]
    images = {
        answer: [ImageCounts(of[answer], group) for of, group in zip(found, groups, strict=True)]
        for answer in found[0]
    }
    sums = {answer: total(of) for answer, of in images.items()}
    return Evaluation(
        images=len(samples),
        pixels=next(iter(sums.values())).pixels,
        answers={answer.value: _score(of, names) for answer, of in sums.items()},
        protocol=rules.protocol,
        figures={answer.value: protocol.figures(of, names) for answer, of in images.items()},
        confusions={answer.value: of.rows() for answer, of in sums.items()},
        per_image=tuple(
            _image_score(sample.stem, group, of, names, protocol)
            for sample, group, of in zip(samples, groups, found, strict=True)
        ),
    )


def class_names(model: Model) -> list[str]:
    """In the order of their labels."""
    return [info.name for info in model.config.classes]


def _count(
    predictor: Predictor, sample: LabelledSample, description: DatasetDescription
) -> CountsOfAnswers:
    """Count all answers for an image; labels go where the answers are, strip by strip.

    Pixels that are no measurements count as not labelled.
    """
    model, device = predictor.model, torch.device(predictor.settings.device)
    answers = answers_of(model)
    shown = (Answer.COARSE, *answers) if is_coarse_to_fine(model, predictor.settings) else answers
    counted = {answer: Confusion(model.num_classes, device) for answer in shown}
    with opened(sample, description) as (raster, labels):
        settings, formed = predictor.fitted(raster, evaluation_bytes(labels))
        with (
            explained_memory(raster.name, settings),
            predictor.predict(raster, settings, formed, answers) as prediction,
        ):
            for strip in strips(raster.size, prediction.strip_height()):
                known = labels.read(strip)
                if not prediction.is_measured(strip):
                    valid = raster.read_masked(strip).valid
                    known = known if valid is None else np.where(valid, known, IGNORE_INDEX)
                truth = torch.from_numpy(known).to(device)
                for answer, confusion in counted.items():
                    confusion.add(prediction.best(answer, strip, device), truth)
    return {answer: confusion.result() for answer, confusion in counted.items()}


def _score(counts: Counts, names: Sequence[str]) -> Score:
    return Score(_iou(counts, names), counts.mean_iou, counts.accuracy)


def _image_score(
    stem: str,
    group: str | None,
    found: CountsOfAnswers,
    names: Sequence[str],
    protocol: Protocol,
) -> ImageScore:
    answers = {
        answer.value: ImageAnswer(
            protocol.of_image(counts, names),
            _iou(counts, names),
            _known(counts.mean_iou),
            _known(counts.accuracy),
        )
        for answer, counts in found.items()
    }
    return ImageScore(stem, group, next(iter(found.values())).pixels, answers)


def _iou(counts: Counts, names: Sequence[str]) -> dict[str, float | None]:
    return {name: _known(float(of)) for name, of in zip(names, counts.iou, strict=True)}


def _known(value: float) -> float | None:
    return None if value != value else value  # noqa: PLR0124 - NaN


def _check_classes(model: Model, description: DatasetDescription) -> None:
    ours = class_names(model)
    theirs = [info.name for info in description.classes]
    if ours != theirs:
        raise InputMismatchError(
            f"the model knows the classes {', '.join(ours)}; the dataset has {', '.join(theirs)}"
        )
