"""What an evaluation found, and how it is kept."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from glnet.raster.output import check_destination, partial_file, publish, write_error


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
