"""How each benchmark scores answers: pure functions over the counts of every image.

``generic`` is what any labelled images get. The others follow the benchmarks of the paper (sections
4.2 to 4.4, footnote 6) and say their numbers in the benchmarks' own words.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from glnet.errors import ConfigurationError
from glnet.evaluation.confusion import Counts, shares
from glnet.evaluation.report import Figures

ProtocolName = Literal["generic", "deepglobe", "isic", "inria"]

ISIC_THRESHOLD = 0.65
"""A lesion outlined worse than this scores 0 (footnote 6)."""

DEEPGLOBE_CLASSES = 6
UNKNOWN = "unknown"
"""The name of DeepGlobe's seventh class, where a model knows it."""

OVERALL = "overall"


@dataclass(frozen=True)
class ImageCounts:
    """One answer for one image, counted.

    Attributes:
        counts: Its pixels.
        group: What the image belongs to (Inria: a city), if anything.
    """

    counts: Counts
    group: str | None = None


@dataclass(frozen=True)
class Protocol:
    """A way to score.

    Attributes:
        name: As it is chosen.
        summary: What it counts, for the report.
        headline: The part and the name of the figure by which the benchmark ranks networks.
        figures: From the images' counts and the names of the classes to the protocol's numbers.
        of_image: One image's score, by which images are ranked; None where nothing is labelled.
        check: Raises a `ConfigurationError` for classes that it cannot score.
    """

    name: ProtocolName
    summary: str
    headline: tuple[str, str]
    figures: Callable[[Sequence[ImageCounts], Sequence[str]], Figures]
    of_image: Callable[[Counts, Sequence[str]], float | None]
    check: Callable[[Sequence[str]], None]


def generic_figures(images: Sequence[ImageCounts], _: Sequence[str]) -> Figures:
    """The mean IoU over the classes that occur, and the accuracy, over all pixels."""
    counts = total(images)
    return {
        OVERALL: {"mIoU": _known(counts.mean_iou), "accuracy": _known(counts.accuracy)},
    }


def deepglobe_figures(images: Sequence[ImageCounts], classes: Sequence[str]) -> Figures:
    """Six classes with unknown pixels left out, and beside it the published code's counting.

    The published code keeps unknown pixels in its matrix: a class answered there is a false
    positive of that class. It leaves only the IoU of unknown out of the mean, in which a class that
    occurs nowhere counts 0. Both follow from the same counts, whether the model knows a class
    "unknown" or its masks ignore such pixels.
    """
    counts = total(images)
    known = [k for k, name in enumerate(classes) if name.casefold() != UNKNOWN]
    unknown = [k for k in range(len(classes)) if k not in known]
    truth_known = counts.matrix[known]
    truth_unknown = counts.matrix[unknown].sum(0) + counts.ignored
    hits = np.diag(counts.matrix)[known]
    six = shares(hits, truth_known.sum(1) + truth_known[:, known].sum(0) - hits)
    everywhere = truth_known.sum(0) + truth_unknown
    published = shares(hits, truth_known.sum(1) + everywhere[known] - hits)
    right = int(hits.sum())
    of_unknown = int(counts.matrix[np.ix_(unknown, unknown)].sum())
    return {
        "six classes": {
            "mIoU": _mean(six),
            "accuracy": _ratio(right, int(truth_known.sum())),
        },
        "published counting": {
            "mIoU": _mean(np.nan_to_num(published)),
            "accuracy": _ratio(right + of_unknown, int(everywhere.sum())),
        },
    }


def isic_figures(images: Sequence[ImageCounts], _: Sequence[str]) -> Figures:
    """Per image the Jaccard index of the lesion, which is the last of the two classes.

    Means over images: of the thresholded index (0 where it is under 0.65; footnote 6), and of the
    index as it is. Beside them the IoU over all pixels of all images.
    """
    indices = [of for image in images if (of := jaccard(image.counts)) is not None]
    counts = total(images)
    return {
        OVERALL: {
            f"Jaccard, 0 if under {ISIC_THRESHOLD}": _mean([thresholded(of) for of in indices]),
            "Jaccard": _mean(indices),
            "dataset IoU": _known(float(counts.iou[1])),
            "accuracy": _known(counts.accuracy),
        }
    }


def inria_figures(images: Sequence[ImageCounts], _: Sequence[str]) -> Figures:
    """IoU of the building class and accuracy, over the pixels of each city and of all."""
    cities = sorted({image.group for image in images if image.group is not None})
    parts = {city: [image for image in images if image.group == city] for city in cities}
    return {
        place: {
            "building IoU": _known(float(total(part).iou[1])),
            "accuracy": _known(total(part).accuracy),
        }
        for place, part in {**parts, OVERALL: images}.items()
    }


def jaccard(counts: Counts, _: Sequence[str] = ()) -> float | None:
    """The IoU of the second of two classes in one image.

    1 where neither the truth nor the answer has it, as the challenge's own scoring decides; None
    where no pixel is labelled.
    """
    if not counts.pixels:
        return None
    value = float(counts.iou[1])
    return 1.0 if np.isnan(value) else value


def thresholded(index: float) -> float:
    """A Jaccard index as the ISIC challenge counts it: 0 if under 0.65, else as it is."""
    return index if index >= ISIC_THRESHOLD else 0.0


def mean_iou(counts: Counts, _: Sequence[str]) -> float | None:
    """Over the classes that occur in the image or its answer."""
    return _known(counts.mean_iou)


def six_class_mean_iou(counts: Counts, classes: Sequence[str]) -> float | None:
    """Of one DeepGlobe image, unknown pixels left out."""
    return deepglobe_figures([ImageCounts(counts)], classes)["six classes"]["mIoU"]


def total(images: Sequence[ImageCounts]) -> Counts:
    """The pixels of all images together; of at least one image."""
    counts = images[0].counts
    for image in images[1:]:
        counts += image.counts
    return counts


def _any_classes(_: Sequence[str]) -> None:
    """Every model can be scored."""


def _require_deepglobe(classes: Sequence[str]) -> None:
    others = [name for name in classes if name.casefold() != UNKNOWN]
    if len(others) != DEEPGLOBE_CLASSES:
        raise ConfigurationError(
            f"the protocol deepglobe scores {DEEPGLOBE_CLASSES} classes, and perhaps one named "
            f"{UNKNOWN}, got {', '.join(classes)}; choose the protocol generic"
        )


def _require_two(protocol: str) -> Callable[[Sequence[str]], None]:
    def check(classes: Sequence[str]) -> None:
        if len(classes) != 2:
            raise ConfigurationError(
                f"the protocol {protocol} scores two classes, the background and then what is "
                f"looked for, got {', '.join(classes)}; choose the protocol generic"
            )

    return check


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _mean(values: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]]) -> float | None:
    known = [float(value) for value in values if not np.isnan(value)]
    return sum(known) / len(known) if known else None


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


PROTOCOLS: Mapping[ProtocolName, Protocol] = {
    of.name: of
    for of in (
        Protocol(
            "generic",
            "IoU of every class and its mean over the classes that occur, over all pixels",
            (OVERALL, "mIoU"),
            generic_figures,
            mean_iou,
            _any_classes,
        ),
        Protocol(
            "deepglobe",
            "six classes with unknown pixels left out; beside it the published code's counting, "
            "where a class answered on an unknown pixel is wrong",
            ("six classes", "mIoU"),
            deepglobe_figures,
            six_class_mean_iou,
            _require_deepglobe,
        ),
        Protocol(
            "isic",
            f"means over images of the lesion's Jaccard index, 0 if under {ISIC_THRESHOLD} and "
            "as it is (1 where neither truth nor answer has a lesion), and the IoU over all pixels",
            (OVERALL, f"Jaccard, 0 if under {ISIC_THRESHOLD}"),
            isic_figures,
            jaccard,
            _require_two("isic"),
        ),
        Protocol(
            "inria",
            "IoU of buildings and accuracy, over the pixels of each city and of all",
            (OVERALL, "building IoU"),
            inria_figures,
            jaccard,
            _require_two("inria"),
        ),
    )
}

PROTOCOL_OF_KIND: Mapping[str, ProtocolName] = {
    "folder": "generic",
    "deepglobe": "deepglobe",
    "deepglobe-published": "deepglobe",
    "isic": "isic",
    "inria": "inria",
    "inria-official": "inria",
}
"""The protocol that a kind of dataset is scored by, unless another is asked for."""
