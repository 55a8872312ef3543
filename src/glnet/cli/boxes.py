"""``glnet boxes``: how much of images is foreground before and after boxes are drawn (Figure 8)."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt

from glnet.cli.console import ProgressDisplay, say
from glnet.cli.datasets import add_dataset_options
from glnet.cli.running import add_running_options, running_settings


def build_parser() -> ArgumentParser:
    """What the command takes."""
    parser = ArgumentParser(
        exit_on_error=False,
        description="The paper's Figure 8 for a model of two classes: a histogram of the share of "
        "foreground in images and in their boxes, and pictures of some of them. Boxes are those of "
        "a coarse-to-fine model; of another model, its global branch draws them.",
    )
    parser.add_argument("model", metavar="MODEL", help="the model's folder")
    parser.add_argument("data", metavar="DATA", help="the dataset's folder")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="where to")
    add_dataset_options(parser)
    parser.add_argument("--split", default="validation", help="which of its images")
    parser.add_argument(
        "--panels", type=NonNegativeInt, default=4, metavar="N", help="images that are shown"
    )
    add_running_options(parser, precision="float32")
    parser.add_argument("--overwrite", action="store_true", help="replace what was drawn before")
    return parser


def run(options: Namespace) -> int:
    """Draw, and say what there is to see."""
    from glnet.data import open_dataset  # noqa: PLC0415 - imports GDAL
    from glnet.evaluation.foreground import PAGE, draw_boxes  # noqa: PLC0415 - imports torch

    folder = Path(options.output)
    display = ProgressDisplay("drawing boxes")
    try:
        dataset = open_dataset(options.data, options.dataset, options.description)
        draw_boxes(
            options.model,
            dataset.split(options.split),
            dataset.description,
            folder,
            running_settings(options),
            panels=options.panels,
            overwrite=options.overwrite,
            progress=display.advance,
        )
    finally:
        display.stop()
    facts = [line for line in (folder / PAGE).read_text("utf-8").splitlines() if line[:2] == "- "]
    for line in facts:
        say(line[2:])
    say(f"pictures: {folder}")
    return 0
