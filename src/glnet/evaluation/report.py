"""What an evaluation found, and how it is kept."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from glnet.evaluation.tables import TITLES, percent, tables_of
from glnet.markup import table
from glnet.raster.writing.output import check_destination, partial_file, publish, write_error

Figures = dict[str, dict[str, float | None]]
"""Values in 0..1 by what they are about ("overall", a city), then by name; None: not defined."""


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
class ImageAnswer:
    """How good one answer for one image is.

    Attributes:
        score: The protocol's, by which images are ranked; None where nothing is labelled.
        iou: As in `Score`.
        mean_iou: As in `Score`; None where nothing is labelled.
        accuracy: As in `Score`; None where nothing is labelled.
    """

    score: float | None
    iou: dict[str, float | None]
    mean_iou: float | None
    accuracy: float | None


@dataclass(frozen=True)
class ImageScore:
    """All answers for one image.

    Attributes:
        stem: Its name in the dataset.
        group: What it belongs to (Inria: its city), if anything.
        pixels: How many of its pixels are labelled.
        answers: By answer.
    """

    stem: str
    group: str | None
    pixels: int
    answers: dict[str, ImageAnswer]


@dataclass(frozen=True)
class Evaluation:
    """Scores of the global, the local and the aggregated answer, as far as the model has them.

    Attributes:
        images: How many.
        pixels: How many of theirs are labelled.
        answers: Over all pixels of all images, by answer.
        protocol: The name of the protocol.
        figures: The protocol's numbers, by answer.
        confusions: By answer, counts of pixels: a row per true class, then one for ignored pixels,
            a column per answered class.
        per_image: In the order in which they were evaluated.
        compiled: Whether torch.compile made code for the backbone that sees the patches.
        note: What else there is to know of how the predictions ran, in one line.
    """

    images: int
    pixels: int
    answers: dict[str, Score]
    protocol: str = "generic"
    figures: dict[str, Figures] = field(default_factory=dict)
    confusions: dict[str, list[list[int]]] = field(default_factory=dict)
    per_image: tuple[ImageScore, ...] = ()
    compiled: bool = False
    note: str | None = None

    @property
    def own(self) -> str:
        """The model's own answer: the last."""
        return list(self.answers)[-1]

    def ranked(self) -> list[tuple[float, ImageScore]]:
        """The images that have a score of the model's own answer, with it, from the worst on."""
        scored = [
            (score, image)
            for image in self.per_image
            if (score := image.answers[self.own].score) is not None
        ]
        return sorted(scored, key=lambda of: (of[0], of[1].stem))

    def __repr__(self) -> str:
        told = ", ".join(
            f"{TITLES.get(answer, answer)} {percent(score.mean_iou)}"
            for answer, score in self.answers.items()
        )
        return f"Evaluation({self.protocol}, {self.images} images, mIoU in %: {told})"

    def _repr_html_(self) -> str:
        shown = [
            table(of.head, of.rows, labels=of.labels, title=of.title)
            for of in tables_of(self.to_dict())
        ]
        return f"<div>{''.join(shown)}<div>{self.images} images, {self.pixels:,} pixels</div></div>"

    def to_dict(self) -> dict[str, object]:
        """Plain numbers, for JSON."""
        return {**asdict(self), "per_image": [asdict(image) for image in self.per_image]}


def check_report(path: Path, *, overwrite: bool) -> None:
    """Refuse a place where no report can go.

    Raises:
        OutputError: If it is no ``.json``, exists and may not be overwritten, or its folder is
            missing or closed to us.
    """
    path = path.absolute()
    check_destination(path, (".json",), overwrite)
    with partial_file(path) as partial:  # Some folders look open and take no file.
        try:
            partial.touch()
        except OSError as error:
            raise write_error(path, str(error.strerror)) from error


def write_report(evaluation: Evaluation, path: Path, *, overwrite: bool = False) -> None:
    """Write the scores as JSON, beside and renamed.

    Raises:
        OutputError: As `check_report`, or if the disk is full.
    """
    check_report(path, overwrite=overwrite)
    text = json.dumps(evaluation.to_dict(), indent=2) + "\n"
    with partial_file(path) as partial:
        try:
            partial.write_text(text, encoding="utf-8")
        except OSError as error:
            raise write_error(path, str(error.strerror)) from error
        publish(partial, path, overwrite)
