"""``glnet estimate``: what a prediction or training will take, before and without its device."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeVar

from jsonargparse import ArgumentParser, Namespace

from glnet.cli.console import ProgressDisplay, drawn, in_binary_units, say, say_json
from glnet.cli.running import add_seeing_options, seeing_of
from glnet.errors import ConfigurationError
from glnet.evaluation.tables import Table

if TYPE_CHECKING:
    from glnet.geometry import Size
    from glnet.inference.estimate import Estimate
    from glnet.model.checkpoint import Model
    from glnet.training.config import TrainingConfig
    from glnet.training.estimating import StepEstimate

T = TypeVar("T")
R = TypeVar("R")

PATCH_BATCHES = (1, 2, 4, 8)
"""Of a prediction, if none are typed."""

LARGEST_SIDE = 2**31
"""Pixel files count their rows and columns in 32 bits."""


def build_parser() -> ArgumentParser:
    """What the command takes."""
    parser = ArgumentParser(
        exit_on_error=False,
        description="What segmenting an image of some size will take: memory on the device, "
        "scratch disk, patches, multiply-adds. With --training: what an optimiser step of every "
        "stage will take. Nothing is computed and no GPU is needed.",
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="the model's folder")
    parser.add_argument(
        "--config", metavar="FILE", help="a training configuration instead, of a model to come"
    )
    parser.add_argument("--classes", type=int, metavar="N", help="of the model to come")
    parser.add_argument("--bands", type=int, default=3, metavar="N", help="of the model to come")
    parser.add_argument(
        "--training", action="store_true", help="training by the --config, not prediction"
    )
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
        type=Literal["float32", "bfloat16", "float16"] | None,
        help="in which numbers it would compute; float32 by default, in training the "
        "configuration's run.precision",
    )
    parser.add_argument(
        "--patch-batch",
        type=int,
        nargs="+",
        metavar="N",
        help="patches that enter the network at once (1 2 4 8)",
    )
    add_seeing_options(parser)
    parser.add_argument(
        "--no-collapse", action="store_true", help="the head as it was trained, for comparison"
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    return parser


def run(options: Namespace) -> int:
    """Estimate every size: with every patch batch, or for every stage of a training."""
    sizes = [parsed_size(text) for text in options.size]
    found: Sequence[Estimate] | Sequence[StepEstimate]
    if options.training:
        found = steps = _steps(options, sizes)
        table = table_of_steps(steps)
    else:
        found = predictions = _predictions(options, sizes)
        table = table_of_predictions(predictions)
    if options.json:
        say_json([of.to_dict() for of in found])
    else:
        say(drawn(table))
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


def table_of_predictions(estimates: "Sequence[Estimate]") -> Table:
    """A row for every size and batch."""
    first = estimates[0]
    rows = [
        (
            f"{of.height}x{of.width}",
            f"{of.patches:,}",
            str(of.patch_batch),
            in_binary_units(of.device_bytes),
            in_binary_units(of.host_bytes),
            in_binary_units(of.scratch_bytes),
            f"{of.multiply_adds / 1e9:,.0f}",
        )
        for of in estimates
    ]
    title = f"{first.precision} on {first.device}, {first.form} head"
    head = ("image", "patches", "at once", "device memory", "host memory", "scratch", "GMAC")
    return Table(title, head, tuple(rows), labels=1)


def table_of_steps(estimates: "Sequence[StepEstimate]") -> Table:
    """A row for every size and stage."""
    first = estimates[0]
    rows = [
        (
            f"{of.height}x{of.width}",
            of.stage,
            str(of.images),
            str(of.micro_batch),
            in_binary_units(of.device_bytes),
            f"{of.multiply_adds / 1e9:,.0f}",
        )
        for of in estimates
    ]
    title = f"a training step, {first.precision} on {first.device}"
    head = ("image", "stage", "images", "at once", "device memory", "GMAC")
    return Table(title, head, tuple(rows), labels=2)


def _predictions(options: Namespace, sizes: "Sequence[Size]") -> "list[Estimate]":
    from glnet.inference.estimate import estimate  # noqa: PLC0415 - imports torch
    from glnet.inference.machine import chosen_precision  # noqa: PLC0415
    from glnet.inference.settings import Settings  # noqa: PLC0415
    from glnet.model.seeing import seeing  # noqa: PLC0415

    choices = [
        Settings(
            device=options.device,
            precision=chosen_precision(options.precision or "float32", options.device),
            patch_batch=batch,
            collapse=not options.no_collapse,
        )
        for batch in options.patch_batch or PATCH_BATCHES
    ]
    how, model = seeing_of(options), _model(options)
    model = model if how is None else seeing(model, how)
    pairs = [(size, settings) for size in sizes for settings in choices]
    return list(_shown("sizes and batches", pairs, lambda of: estimate(model, *of)))


def _steps(options: Namespace, sizes: "Sequence[Size]") -> "list[StepEstimate]":
    if options.config is None or options.model is not None:
        raise ConfigurationError("--training needs a training --config FILE, and no model's folder")
    if options.patch_batch is not None or options.no_collapse or seeing_of(options) is not None:
        raise ConfigurationError(
            "--patch-batch, --no-collapse and --see-* are for predictions; with --training the "
            "configuration says how many patches run at once, and the head is as it is trained"
        )
    config = _config(options)
    from glnet.inference.machine import chosen_precision  # noqa: PLC0415 - imports torch
    from glnet.training.estimating import estimate_steps  # noqa: PLC0415
    from glnet.training.precision import precision_on  # noqa: PLC0415

    named = options.precision or precision_on(options.device, config)
    precision = chosen_precision(named, options.device)
    numbers = options.classes, options.bands
    found = _shown(
        "sizes",
        sizes,
        lambda size: estimate_steps(config, *numbers, size, options.device, precision),
    )
    return [of for each in found for of in each]


def _shown(what: str, items: Sequence[T], work: Callable[[T], R]) -> Iterator[R]:
    """Work on one after another, and show how it comes along."""
    progress = ProgressDisplay("estimate")
    try:
        for done, item in enumerate(items):
            progress.advance(what, done, len(items))
            yield work(item)
    finally:
        progress.stop()


def _model(options: Namespace) -> "Model":
    from glnet.data.classes import ClassInfo  # noqa: PLC0415
    from glnet.model.checkpoint import new_model, open_model  # noqa: PLC0415 - imports torch
    from glnet.model.config import Normalization  # noqa: PLC0415
    from glnet.training.preparation import model_config  # noqa: PLC0415

    if (options.model is None) == (options.config is None):
        raise ConfigurationError("name either a model's folder or a training --config")
    if options.model is not None:
        return open_model(options.model).model
    config = _config(options)
    classes = tuple(ClassInfo(f"class {k}", (k % 256, 0, 0)) for k in range(options.classes))
    normalization = Normalization((0.0,) * options.bands, (1.0,) * options.bands)
    return new_model(replace(model_config(config, classes), normalization=normalization))


def _config(options: Namespace) -> "TrainingConfig":
    """What a configuration says of the model to come and of its training."""
    from glnet.training.config_file import read_config  # noqa: PLC0415 - imports torch

    if options.classes is None:
        raise ConfigurationError(
            "a --config does not say how many classes there are; add --classes"
        )
    # What has no default in a configuration says nothing about the model.
    return read_config(options.config, ["--data.folder=.", "--output=."])
