"""``glnet info``: say what a model is."""

import textwrap
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace
from rich.text import Text

from glnet.cli.console import WIDTH, in_binary_units, plain_console, say, say_json

if TYPE_CHECKING:
    from glnet.data.classes import ClassInfo
    from glnet.inference.description import ModelDescription


INDENT = 16
"""Of what stands behind the titles, in letters."""


def build_parser() -> ArgumentParser:
    """What the command takes."""
    parser = ArgumentParser(exit_on_error=False, description="Say what a model is.")
    parser.add_argument("model", metavar="MODEL", help="the model's folder")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    return parser


def run(options: Namespace) -> int:
    """Describe the model."""
    from glnet.inference.description import describe_model  # noqa: PLC0415 - imports torch

    description = describe_model(options.model)
    if options.json:
        say_json(description.to_dict())
    else:
        show(description)
    return 0


def show(description: "ModelDescription") -> None:
    """Print a description, for people."""
    for title, text in _lines(description):
        say(_filled(title, text))
    console = plain_console()
    for label, info in enumerate(description.classes):
        console.print(_class_line(label, info))


def _filled(title: str, text: str) -> str:
    """A title and what it is, on as many lines as that takes; long words stay whole."""
    return textwrap.fill(
        f"{title:<{INDENT}}{text}",
        WIDTH,
        subsequent_indent=" " * INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _lines(description: "ModelDescription") -> list[tuple[str, str]]:
    architecture, framing = description.architecture, description.framing
    normalization, extent = description.normalization, description.training_extent
    reduction = f", shrunk {framing.reduction} times" if framing.reduction > 1 else ""
    pyramid = f"{architecture.fpn_width} channels, {architecture.refined_width} refined"
    return [
        ("model", description.model),
        ("architecture", description.summary),
        ("backbone", architecture.backbone),
        *([("pyramid", pyramid)] if architecture.network == "glnet" else []),
        ("parameters", f"{description.parameters:,} ({in_binary_units(description.file_bytes)})"),
        ("patch", f"{framing.patch_size} px, {framing.overlap} px of overlap{reduction}"),
        ("thumbnail", f"{framing.thumbnail_size} px"),
        ("sampling", framing.sampling),
        ("bands", str(normalization.bands)),
        ("mean", ", ".join(f"{value:g}" for value in normalization.mean)),
        ("deviation", ", ".join(f"{value:g}" for value in normalization.std)),
        ("trained on", f"{extent.smallest} to {extent.largest}" if extent else "unknown"),
        ("classes", str(len(description.classes))),
    ]


def _class_line(label: int, info: "ClassInfo") -> Text:
    red, green, blue = info.color
    code = info.to_dict()["color"]
    # The swatch is seen where there are colours, the code everywhere.
    swatch = ("  ", f"on rgb({red},{green},{blue})")
    return Text.assemble(f"  {label:>3}  ", swatch, f" {code}  {info.name}")
