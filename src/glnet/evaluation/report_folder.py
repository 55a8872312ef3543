"""A folder that shows an evaluation: numbers, a page, and pictures of the worst and the best.

::

    report.json                 all numbers, and what they are of
    report.md                   the same as tables, with the pictures
    worst_1_<image>.png, ...    image, truth, answer and errors; whole, and where errors are most
    best_1_<image>.png, ...
    confusion_<answer>.png      which class is taken for which

It appears whole or not at all.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from glnet.evaluation.folder import partial_folder, require_free, whole_folder
from glnet.evaluation.illustrations import Illustration
from glnet.evaluation.protocols import PROTOCOLS
from glnet.evaluation.report import Evaluation
from glnet.evaluation.tables import as_markdown, image_table, tables_of
from glnet.inference.hardware import hardware
from glnet.inference.streaming import Settings
from glnet.raster import write_picture
from glnet.raster.writing.output import write_error

PAGE, NUMBERS = "report.md", "report.json"
MARKS = (PAGE, NUMBERS)

PACKAGES = ("glnet", "torch", "timm", "numpy", "rasterio", "pillow")
"""Whose versions may change a number."""

PLAIN_FACTS = ("model", "data", "split", "device", "precision", "turns", "refine_below", "largest")
"""What `About` says in one word each."""


@dataclass(frozen=True)
class About:
    """What was evaluated, and with what.

    Attributes:
        model: Its folder, or other words for it.
        data: The dataset's folder.
        split: Which of its images.
        settings: How the predictions ran.
        configuration: The model's, in plain values.
        largest: The size of the largest image, in words.
        memory: By answer, the bytes that predicting it takes on a GPU with one patch at a time, by
            estimate.
    """

    model: str
    data: str
    split: str
    settings: Settings
    configuration: Mapping[str, object] = field(default_factory=dict)
    largest: str | None = None
    memory: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "model": self.model,
            "data": self.data,
            "split": self.split,
            "device": self.settings.device,
            "precision": self.settings.precision,
            "turns": self.settings.turns,
            "refine_below": self.settings.refine_below,
            "largest": self.largest,
            "memory": dict(self.memory),
            "configuration": dict(self.configuration),
            "hardware": hardware(),
            "versions": {name: version(name) for name in PACKAGES},
        }


def check_folder(path: Path, *, overwrite: bool) -> None:
    """Refuse a place where no report can go, before work is spent on it.

    Raises:
        OutputError: If it is a file, has something in it that may not be overwritten or is no
            earlier report, or its folder is missing or closed to us.
    """
    require_free(path.absolute(), MARKS, overwrite)
    with partial_folder(path.absolute()):
        pass


def write_folder(
    path: Path,
    evaluation: Evaluation,
    about: About,
    illustrations: Sequence[Illustration],
    *,
    overwrite: bool = False,
) -> None:
    """Write the report beside its place, then put it there.

    Raises:
        OutputError: As `check_folder`, or if the disk is full.
    """
    path = path.absolute()
    require_free(path, MARKS, overwrite)
    pictures = [{"title": of.title, "file": of.file} for of in illustrations]
    numbers = {"about": about.to_dict() | {"pictures": pictures}, **evaluation.to_dict()}
    with whole_folder(path, MARKS, overwrite) as partial:
        for of in illustrations:
            write_picture(partial / of.file, of.picture)
        try:
            (partial / NUMBERS).write_text(json.dumps(numbers, indent=2) + "\n", "utf-8")
            (partial / PAGE).write_text(page(evaluation, about, illustrations), "utf-8")
        except OSError as error:
            raise write_error(path, error.strerror or str(error)) from error


def page(evaluation: Evaluation, about: About, illustrations: Sequence[Illustration]) -> str:
    """The report as Markdown."""
    facts = {name: of for name, of in about.to_dict().items() if name in PLAIN_FACTS}
    facts |= {
        "images": evaluation.images,
        "labelled pixels": evaluation.pixels,
        "protocol": f"{evaluation.protocol}: {_summary(evaluation.protocol)}",
        "compiled": "yes" if evaluation.compiled else "no",
        "versions": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "hardware": ", ".join(f"{name} {of}" for name, of in hardware().items()),
    }
    if evaluation.note is not None:
        facts["note"] = evaluation.note
    lines = ["# Evaluation", "", *(f"- {name}: {value}" for name, value in facts.items()), ""]
    lines += [as_markdown(table) for table in tables_of(evaluation.to_dict())]
    for of in illustrations:
        lines += [f"## {of.title}", "", f"![{of.title}]({of.file})", ""]
    ranked = [(score, asdict(image)) for score, image in evaluation.ranked()]
    lines.append(as_markdown(image_table(ranked, evaluation.own)))
    return "\n".join(lines)


def _summary(protocol: str) -> str:
    return next(of.summary for of in PROTOCOLS.values() if of.name == protocol)
