"""The page: what is known of a training or an evaluation, arranged by a template."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from glnet.evaluation.report import Evaluation
from glnet.evaluation.tables import TITLES, image_table, percent, protocol_table
from glnet.reporting.charts import charts_of
from glnet.reporting.evaluations import Evaluated
from glnet.reporting.parsed import Node
from glnet.reporting.pictures import MOST_PICTURES, shown
from glnet.reporting.reading import REPORT, Findings, Training
from glnet.reporting.sections import (
    NOTHING,
    Grid,
    bars_of,
    colors_of,
    heats_of,
    pictures_of,
    table_two,
)
from glnet.training.following.picture_files import latest_pictures
from glnet.training.following.summary import STAGE_HEAD, evaluation_command, stage_row
from glnet.wording import duration

TEMPLATE = "report.html.j2"
MOST_IMAGES = 500
"""In the table of images; the worst ones."""


class Notice(NamedTuple):
    """What a reader should know first, and the command that helps."""

    words: str
    command: str = ""


def page(findings: Findings) -> str:
    """All of it as one HTML text that refers to nothing outside of itself.

    Raises:
        OutputError: If a file of the folder says what cannot be.
    """
    environment = Environment(
        loader=PackageLoader("glnet.reporting"),
        autoescape=True,  # Names of classes, images and folders are others' words.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    training, evaluated = findings.training, findings.evaluated
    about = None if evaluated is None else evaluated.about
    return environment.get_template(TEMPLATE).render(
        title=findings.folder.absolute().name,
        kind="evaluation" if training is None else "training",
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        what=_what(training, about),
        notices=_notices(findings),
        tiles=_tiles(training, evaluated),
        **_scores(findings),
        charts=[] if training is None else charts_of(training.rounds),
        stages=None if training is None else _stages(training),
        fixed=_fixed(findings),
        configuration=_configuration(training, about),
        machine=_machine(training, about),
    )


def _scores(findings: Findings) -> dict[str, object]:
    """What there is of an evaluation, by the template's names."""
    evaluated = findings.evaluated
    if evaluated is None:
        return {"table": None}
    evaluation = evaluated.evaluation
    pictures, left = pictures_of(evaluated)
    architecture, regularization = _trained_as(findings)
    return {
        "of_what": "" if findings.training is None else _evaluated_what(evaluated.about),
        "table": table_two(evaluated, architecture, regularization),
        "bars": bars_of(evaluation, colors_of(evaluated.about)),
        "protocol": _protocol(evaluation),
        "heats": heats_of(evaluation),
        "pictures": pictures,
        "pictures_left": left,
        "pictures_command": _pictures_command(findings),
        "images": _images(evaluation),
    }


def _trained_as(findings: Findings) -> tuple[Node | None, float | None]:
    """The network's parts, and the weight of the loss between maps; None where not known."""
    if findings.training is not None:
        loss = findings.training.config.get("loss")
        weight = None if loss is None else loss.get("regularization")
        known = None if weight is None else weight.number()
        return findings.training.config.get("architecture"), known
    about = None if findings.evaluated is None else findings.evaluated.about
    configuration = None if about is None else about.get("configuration")
    return (None if configuration is None else configuration.get("architecture")), None


def _what(training: Training | None, about: Node | None) -> str:
    """What was trained or evaluated, on what."""
    if training is None:
        return _evaluated_what(about)
    config = training.config
    data, architecture = config.get("data"), config.get("architecture")
    folder = None if data is None else data.get("folder")
    backbone = None if architecture is None else architecture.get("backbone")
    return (
        f"A training on the images in {NOTHING if folder is None else folder.words()}, with the "
        f"backbone {NOTHING if backbone is None else backbone.words()}."
    )


def _evaluated_what(about: Node | None) -> str:
    """Whose answers were evaluated, for which images."""
    if about is None:
        return "An evaluation that does not say of what."
    named = {key: of.words() for key, of in about.items()}
    return (
        f"Answers of the model {named.get('model', NOTHING)} for the images of the split "
        f"{named.get('split', NOTHING)} in {named.get('data', NOTHING)}."
    )


def _notices(findings: Findings) -> list[Notice]:
    training, evaluated = findings.training, findings.evaluated
    notices = []
    if training is not None and not training.has_model:
        notices.append(
            Notice(
                f"This training is not finished: {_standing(training)}. It may still be going; "
                "where it was stopped, this goes on:",
                f"glnet train {shlex.quote(str(findings.folder / 'config.yaml'))} --resume",
            )
        )
    elif training is not None and evaluated is None:
        notices.append(
            Notice(
                "This training is done and was not evaluated, so there are no scores; this adds "
                "them, and the worst and best images:",
                _pictures_command(findings),
            )
        )
    if evaluated is not None and evaluated.evaluation.note:
        notices.append(Notice(evaluated.evaluation.note))
    return notices


def _pictures_command(findings: Findings) -> str:
    """What adds scores to a training, and the worst and best images."""
    if findings.training is None:
        return "glnet evaluate MODEL DATA --report FOLDER"
    command = evaluation_command(findings.folder, findings.training.plain)
    return f"{command} --report {shlex.quote(str(findings.folder / REPORT))}"


def _standing(training: Training) -> str:
    """How far a training is."""
    if not training.rounds:
        return "no epoch is done yet"
    last = training.rounds[-1]
    epochs = training.stages.get(last.stage)
    total = "" if epochs is None else f" of {epochs:g}"
    when = "" if training.written is None else f", written {training.written:%Y-%m-%d %H:%M} UTC"
    return f"the last row is of stage {last.stage}, epoch {last.epoch:.4g}{total}{when}"


def _tiles(training: Training | None, evaluated: Evaluated | None) -> list[tuple[str, str]]:
    tiles = []
    if evaluated is not None:
        evaluation = evaluated.evaluation
        own = evaluation.answers[evaluation.own]
        tiles = [
            (f"mIoU, {TITLES.get(evaluation.own, evaluation.own)}", f"{percent(own.mean_iou)} %"),
            ("accuracy", f"{percent(own.accuracy)} %"),
            ("images", f"{evaluation.images:,}"),
            ("labelled pixels", f"{evaluation.pixels:,}"),
        ]
    if training is not None and training.rounds:
        tiles.append(("training time", duration(sum(of.seconds for of in training.rounds))))
    return tiles


def _protocol(evaluation: Evaluation) -> Grid | None:
    if evaluation.protocol == "generic":
        return None
    table = protocol_table(evaluation.protocol, evaluation.figures)
    return Grid(table.head, table.rows, table.labels, (f"Protocol {evaluation.protocol}, %.",))


def _images(evaluation: Evaluation) -> Grid | None:
    ranked = [(score, asdict(image)) for score, image in evaluation.ranked()]
    if not ranked:
        return None
    table = image_table(ranked[:MOST_IMAGES], evaluation.own)
    left = len(ranked) - MOST_IMAGES
    notes = (f"The worst {MOST_IMAGES}; {left} more are in report.json.",) if left > 0 else ()
    return Grid(table.head, table.rows, table.labels, notes)


def _stages(training: Training) -> Grid:
    stages = dict.fromkeys(each.stage for each in training.rounds)
    rows = [
        stage_row(stage, [of for of in training.rounds if of.stage == stage]) for stage in stages
    ]
    rows += [
        [stage, "not begun", *([""] * (len(STAGE_HEAD) - 2))]
        for stage in training.stages
        if stage not in stages and stage not in training.stages_done
    ]
    notes = (
        "mIoU in percent on patches and thumbnails of the validation split, as looked at during "
        "training, not at full resolution.",
    )
    return Grid(STAGE_HEAD, tuple(tuple(row) for row in rows), notes=notes)


def _fixed(findings: Findings) -> Sequence[object]:
    """The answers to the fixed images, as last drawn."""
    if findings.training is None:
        return []
    stages = list(dict.fromkeys(each.stage for each in findings.training.rounds))
    paths = latest_pictures(findings.folder / "pictures", stages)[:MOST_PICTURES]
    return [
        shown(f"{path.parent.name}, {path.stem}", findings.folder, str(_below(path, findings)))
        for path in paths
    ]


def _below(path: Path, findings: Findings) -> Path:
    return path.relative_to(findings.folder)


def _configuration(training: Training | None, about: Node | None) -> str | Grid | None:
    """As it stands in the file; of an evaluation, what it says of its model and settings."""
    if training is not None:
        return training.configuration
    if about is None:
        return None
    kept = ("device", "precision", "turns", "refine_below", "configuration")
    found = [(key, of) for key, of in about.items() if key in kept]
    rows = [
        (place.removeprefix("configuration."), words)
        for _, node in found
        for place, words in node.leaves()
        if not place.startswith("configuration.classes")
    ]
    return Grid(("setting", "value"), tuple(rows), labels=2) if rows else None


def _machine(training: Training | None, about: Node | None) -> Grid | None:
    """Hardware and versions, of the training and of the evaluation."""
    columns: list[tuple[str, dict[str, str]]] = []
    if training is not None and training.facts is not None:
        columns.append(("training", _facts(training.facts)))
    if about is not None:
        columns.append(("evaluation", _facts(about)))
    names = list(dict.fromkeys(name for _, facts in columns for name in facts))
    if not names:
        return None
    rows = tuple((name, *(facts.get(name, NOTHING) for _, facts in columns)) for name in names)
    return Grid(("", *(title for title, _ in columns)), rows, labels=3)


def _facts(node: Node) -> dict[str, str]:
    found = {}
    for key in ("machine", "device", "seed", "python"):
        if (of := node.get(key)) is not None:
            found[key] = of.words()
    for key in ("hardware", "versions"):
        if (of := node.get(key)) is not None:
            found |= {name: each.words() for name, each in of.items()}
    if "system" in found:
        found.pop("machine", None)
    return found
