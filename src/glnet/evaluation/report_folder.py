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
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from glnet.errors import OutputError
from glnet.evaluation.illustrations import Illustration
from glnet.evaluation.protocols import PROTOCOLS
from glnet.evaluation.report import Evaluation
from glnet.evaluation.tables import as_markdown, image_table, tables_of
from glnet.inference.streaming import Settings
from glnet.raster import write_picture
from glnet.raster.writing.output import write_error

PAGE, NUMBERS = "report.md", "report.json"

PACKAGES = ("glnet", "torch", "timm", "numpy", "rasterio", "pillow")
"""Whose versions may change a number."""


@dataclass(frozen=True)
class About:
    """What was evaluated, and with what.

    Attributes:
        model: Its folder, or other words for it.
        data: The dataset's folder.
        split: Which of its images.
        settings: How the predictions ran.
    """

    model: str
    data: str
    split: str
    settings: Settings

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
            "versions": {name: version(name) for name in PACKAGES},
        }


def check_folder(path: Path, *, overwrite: bool) -> None:
    """Refuse a place where no report can go, before work is spent on it.

    Raises:
        OutputError: If it is a file, has something in it that may not be overwritten or is no
            earlier report, or its folder is missing or closed to us.
    """
    _require_free(path.absolute(), overwrite)
    with _partial_folder(path.absolute()):
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
    _require_free(path, overwrite)
    numbers = {"about": about.to_dict(), **evaluation.to_dict()}
    with _partial_folder(path) as partial:
        for of in illustrations:
            write_picture(partial / of.file, of.picture)
        try:
            (partial / NUMBERS).write_text(json.dumps(numbers, indent=2) + "\n", "utf-8")
            (partial / PAGE).write_text(page(evaluation, about, illustrations), "utf-8")
            _publish(partial, path, overwrite)
        except OutputError:
            raise
        except OSError as error:
            raise write_error(path, error.strerror or str(error)) from error


def page(evaluation: Evaluation, about: About, illustrations: Sequence[Illustration]) -> str:
    """The report as Markdown."""
    facts = about.to_dict()
    versions = facts.pop("versions")
    assert isinstance(versions, dict)
    facts |= {
        "images": evaluation.images,
        "labelled pixels": evaluation.pixels,
        "protocol": f"{evaluation.protocol}: {_summary(evaluation.protocol)}",
        "compiled": "yes" if evaluation.compiled else "no",
        "versions": ", ".join(f"{name} {of}" for name, of in versions.items()),
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


@contextmanager
def _partial_folder(path: Path) -> Iterator[Path]:
    """A hidden folder beside ``path`` to write to; gone afterwards, unless it has been renamed."""
    partial = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.partial")
    try:
        partial.mkdir()
    except OSError as error:
        raise OutputError(
            f"no report can be made at {path}: {error.strerror}; its folder must exist and be "
            "writable"
        ) from error
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _require_free(path: Path, overwrite: bool) -> None:
    """Refuse a place that is taken; a report may be replaced, other things never."""
    if path.is_dir():
        if not any(path.iterdir()):
            return
        if not overwrite:
            raise OutputError(f"{path} exists and is not empty; choose another, or overwrite it")
        if not ((path / PAGE).is_file() and (path / NUMBERS).is_file()):
            raise OutputError(f"{path} is no earlier report; it is left as it is, choose another")
    elif path.exists():
        raise OutputError(f"{path} is a file; a report needs a folder, choose another name")


def _publish(partial: Path, path: Path, overwrite: bool) -> None:
    """Put the finished folder in its place; an earlier one is there until that moment."""
    _require_free(path, overwrite)
    earlier = partial.with_suffix(".earlier")
    if path.exists():
        path.rename(earlier)
    try:
        partial.rename(path)
    except BaseException:
        if earlier.exists():
            earlier.rename(path)
        raise
    shutil.rmtree(earlier, ignore_errors=True)
