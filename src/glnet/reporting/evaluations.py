"""What ``glnet evaluate`` has left, read again and found sound."""

from dataclasses import dataclass
from pathlib import Path

from glnet.errors import OutputError
from glnet.evaluation.report import Evaluation, Figures, ImageAnswer, ImageScore, Score
from glnet.reporting.parsed import Node, read_json

NUMBERS = "report.json"


@dataclass(frozen=True)
class Evaluated:
    """An evaluation on disk.

    Attributes:
        folder: Where it lies, with its pictures.
        evaluation: Its numbers.
        about: What it is of; None where it does not say (``glnet evaluate --output``).
    """

    folder: Path
    evaluation: Evaluation
    about: Node | None


def read_evaluation(path: Path) -> Evaluated:
    """Read ``report.json``.

    Raises:
        OutputError: If it cannot be read or is no report, naming the line or the key.
    """
    node = read_json(path)
    evaluation = Evaluation(
        images=node.at("images").count(),
        pixels=node.at("pixels").count(),
        answers={name: _score(of) for name, of in node.at("answers").items()},
        protocol="generic" if (named := node.get("protocol")) is None else named.text(),
        figures={name: _figures(of) for name, of in _items(node, "figures")},
        confusions={name: _counts(of) for name, of in _items(node, "confusions")},
        per_image=tuple(_image(of) for of in _elements(node, "per_image")),
        compiled=(of := node.get("compiled")) is not None and of.value is True,
        note=None if (of := node.get("note")) is None else of.text(),
    )
    _check(path, evaluation)
    return Evaluated(path.parent, evaluation, node.get("about"))


def _check(path: Path, evaluation: Evaluation) -> None:
    """See that all parts speak of the same answers and classes."""
    if not evaluation.answers:
        raise OutputError(f"{path}: expected at least one answer, got none")
    classes = [list(score.iou) for score in evaluation.answers.values()]
    if any(of != classes[0] for of in classes):
        raise OutputError(f"{path}: expected the same classes in all answers")
    width = len(classes[0])
    if not width:
        raise OutputError(f"{path}: expected at least one class in iou, got none")
    for answer, rows in evaluation.confusions.items():
        if len(rows) != width + 1 or any(len(row) != width for row in rows):
            raise OutputError(
                f"{path}: expected confusions.{answer} to have {width + 1} rows of {width} counts"
            )
    _check_figures(path, evaluation)
    for image in evaluation.per_image:
        if evaluation.own not in image.answers:
            raise OutputError(f"{path}: expected the answer {evaluation.own} for {image.stem}")


def _check_figures(path: Path, evaluation: Evaluation) -> None:
    if evaluation.protocol != "generic" and not evaluation.figures:
        raise OutputError(f"{path}: expected the figures of the protocol {evaluation.protocol}")
    names = [
        {place: list(of) for place, of in each.items()} for each in evaluation.figures.values()
    ]
    if any(of != names[0] for of in names):
        raise OutputError(f"{path}: expected the same figures in all answers")


def _score(node: Node) -> Score:
    return Score(_iou(node), _share(node, "mean_iou"), _share(node, "accuracy"))


def _share(node: Node, key: str) -> float:
    """A number that is NaN where there is none, as `Score` has it."""
    found = _optional(node, key)
    return float("nan") if found is None else found


def _iou(node: Node) -> dict[str, float | None]:
    return {name: of.number() for name, of in node.at("iou").items()}


def _figures(node: Node) -> Figures:
    return {
        place: {name: of.number() for name, of in values.items()} for place, values in node.items()
    }


def _counts(node: Node) -> list[list[int]]:
    return [[of.count() for of in row.elements()] for row in node.elements()]


def _image(node: Node) -> ImageScore:
    group = node.get("group")
    answers = {
        name: ImageAnswer(
            _optional(of, "score"), _iou(of), _optional(of, "mean_iou"), _optional(of, "accuracy")
        )
        for name, of in node.at("answers").items()
    }
    return ImageScore(
        node.at("stem").text(),
        None if group is None else group.text(),
        node.at("pixels").count(),
        answers,
    )


def _optional(node: Node, key: str) -> float | None:
    found = node.get(key)
    return None if found is None else found.number()


def _items(node: Node, key: str) -> list[tuple[str, Node]]:
    found = node.get(key)
    return [] if found is None else found.items()


def _elements(node: Node, key: str) -> list[Node]:
    found = node.get(key)
    return [] if found is None else found.elements()
