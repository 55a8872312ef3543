"""``glnet convert``: turn published checkpoints into a model."""

from jsonargparse import ArgumentParser, Namespace

from glnet.cli.console import say_json
from glnet.cli.info import show

PUBLISHED_SIDE = 508
"""Of the published patches and thumbnails, in pixels."""


def build_parser() -> ArgumentParser:
    """What the command takes."""
    parser = ArgumentParser(
        exit_on_error=False,
        description="Turn the published files of one, two or three stages into a model.",
    )
    parser.add_argument(
        "published",
        nargs="+",
        metavar="FILE",
        help="GLOBAL.pth [GLOBAL2LOCAL.pth [LOCAL2GLOBAL.pth]], in this order",
    )
    parser.add_argument("--output", required=True, metavar="MODEL", help="folder to be made")
    parser.add_argument(
        "--patch-size",
        type=int,
        default=PUBLISHED_SIDE,
        metavar="N",
        help="side of patches that the files were trained with, in pixels",
    )
    parser.add_argument(
        "--thumbnail-size",
        type=int,
        default=PUBLISHED_SIDE,
        metavar="N",
        help="side of the thumbnail that the files were trained with, in pixels",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a model that exists")
    parser.add_argument("--json", action="store_true", help="print what it became as JSON")
    return parser


def run(options: Namespace) -> int:
    """Convert the files and describe the model."""
    from glnet.inference.description import described  # noqa: PLC0415 - imports torch
    from glnet.model.checkpoint import save_model  # noqa: PLC0415
    from glnet.model.published import convert_published  # noqa: PLC0415

    model = convert_published(options.published, options.patch_size, options.thumbnail_size)
    save_model(model, options.output, overwrite=options.overwrite)
    description = described(model, options.output)
    if options.json:
        say_json(description.to_dict())
    else:
        show(description)
    return 0
