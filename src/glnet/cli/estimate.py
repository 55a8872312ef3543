"""``glnet estimate``: what a prediction will take, before it runs and without its device."""

import re
from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

from glnet.cli.console import ProgressDisplay, in_binary_units, say_json
from glnet.errors import ConfigurationError

if TYPE_CHECKING:
    from glnet.geometry import Size
    from glnet.inference.estimate import Estimate
    from glnet.model.checkpoint import Model

LARGEST_SIDE = 2**31
"""Pixel files count their rows and columns in 32 bits."""


def build_parser() -> ArgumentParser:
    """What the command takes."""
    parser = ArgumentParser(
        exit_on_error=False,
        description="What segmenting an image of some size will take: memory on the device, "
        "scratch disk, patches, multiply-adds. Nothing is computed and no GPU is needed.",
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="the model's folder")
    parser.add_argument(
        "--config", metavar="FILE", help="a training configuration instead, of a model to come"
    )
    parser.add_argument("--classes", type=int, metavar="N", help="of the model to come")
    parser.add_argument("--bands", type=int, default=3, metavar="N", help="of the model to come")
    parser.add_argument(
        "--size", required=True, nargs="+", metavar="HxW", help="images, such as 2448x2448"
    )
    parser.add_argument(
        "--device",
        type=Literal["cpu", "cuda"],
        default="cuda",
        help="where it would run; need not be here",
    )
    parser.add_argument(
        "--precision",
        type=Literal["float32", "bfloat16", "float16"],
        default="float32",
        help="in which numbers it would compute",
    )
    parser.add_argument(
        "--patch-batch",
        type=int,
        nargs="+",
        default=[1, 2, 4, 8],
        metavar="N",
        help="patches that enter the network at once",
    )
    parser.add_argument(
        "--no-collapse", action="store_true", help="the head as it was trained, for comparison"
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    return parser


def run(options: Namespace) -> int:
    """Estimate every size with every patch batch."""
    from glnet.inference.estimate import estimate  # noqa: PLC0415 - imports torch
    from glnet.inference.machine import chosen_precision  # noqa: PLC0415
    from glnet.inference.settings import Settings  # noqa: PLC0415

    sizes = [parsed_size(text) for text in options.size]
    chosen_precision(options.precision, options.device)
    choices = [
        Settings(
            device=options.device,
            precision=options.precision,
            patch_batch=batch,
            collapse=not options.no_collapse,
        )
        for batch in options.patch_batch
    ]
    model = _model(options)
    progress = ProgressDisplay("estimate")
    found: list[Estimate] = []
    try:
        for size in sizes:
            for settings in choices:
                progress.advance("sizes and batches", len(found), len(sizes) * len(choices))
                found.append(estimate(model, size, settings))
    finally:
        progress.stop()
    if options.json:
        say_json([of.to_dict() for of in found])
    else:
        show(found)
    return 0


def parsed_size(text: str) -> "Size":
    """A size as it is typed, ``2448x2448``: height, then width.

    Raises:
        ConfigurationError: If it is none, or a side is 0 or over 2^31 pixels.
    """
    from glnet.geometry import Size  # noqa: PLC0415

    match = re.fullmatch(r"(\d+)[xX](\d+)", text)
    if match is None:
        raise ConfigurationError(f"--size is height x width in pixels, 2448x2448, got {text}")
    height, width = int(match[1]), int(match[2])
    if not all(1 <= side <= LARGEST_SIDE for side in (height, width)):
        raise ConfigurationError(f"--size needs sides from 1 to 2^31 pixels, got {text}")
    return Size(height, width)


def show(estimates: "list[Estimate]") -> None:
    """Print a table, for people."""
    first = estimates[0]
    table = Table(
        title=f"{first.precision} on {first.device}, {first.form} head", title_justify="left"
    )
    for title in (
        "image",
        "patches",
        "at once",
        "device memory",
        "host memory",
        "scratch",
        "10^9 multiply-adds",
    ):
        table.add_column(title, justify="right")
    for of in estimates:
        table.add_row(
            f"{of.height}x{of.width}",
            f"{of.patches:,}",
            str(of.patch_batch),
            in_binary_units(of.device_bytes),
            in_binary_units(of.host_bytes),
            in_binary_units(of.scratch_bytes),
            f"{of.multiply_adds / 1e9:,.0f}",
        )
    Console(highlight=False).print(table)


def _model(options: Namespace) -> "Model":
    from glnet.data.classes import ClassInfo  # noqa: PLC0415
    from glnet.model.checkpoint import new_model, open_model  # noqa: PLC0415 - imports torch
    from glnet.model.config import ModelConfig, Normalization  # noqa: PLC0415

    if (options.model is None) == (options.config is None):
        raise ConfigurationError("name either a model's folder or a training --config")
    if options.model is not None:
        return open_model(options.model).model
    if options.classes is None:
        raise ConfigurationError(
            "a --config does not say how many classes there are; add --classes"
        )
    from glnet.training.config_file import read_config  # noqa: PLC0415

    # What has no default in a configuration says nothing about the model.
    config = read_config(options.config, ["--data.folder=.", "--output=."])
    classes = tuple(ClassInfo(f"class {k}", (k % 256, 0, 0)) for k in range(options.classes))
    return new_model(
        ModelConfig(
            classes=classes,
            architecture=config.architecture,
            framing=config.framing,
            normalization=Normalization((0.0,) * options.bands, (1.0,) * options.bands),
        )
    )
