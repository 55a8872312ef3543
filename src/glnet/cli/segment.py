"""``glnet segment``: label every pixel of images of any size."""

from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace

from glnet.cli.cluster import add_cluster_options, effort_lines, efforts_of, executor_of
from glnet.cli.console import say, say_json
from glnet.cli.parsing import UsageError
from glnet.cli.running import (
    add_memory_options,
    add_refining_option,
    add_running_options,
    running_settings,
)
from glnet.cli.segment_display import SegmentDisplay, summary
from glnet.cli.segment_options import (
    add_context_options,
    add_result_options,
    add_source_options,
    extras_of,
    regions_of,
    source_of,
)
from glnet.cli.segment_view import Shown, add_view_options, segment_in_view
from glnet.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence


def build_parser() -> ArgumentParser:
    """What the command takes."""
    parser = ArgumentParser(
        exit_on_error=False,
        description="Label every pixel of images of any size. A label map has its image's size and "
        "georeferencing, and the number of a class at every pixel.",
    )
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE",
        help="GeoTIFF, JPEG, PNG, JP2, SVS, ..., or patterns such as 'scenes/**/*.tif'",
    )
    parser.add_argument(
        "--list",
        action="append",
        default=[],
        metavar="FILE",
        help="a text file that names images or patterns, one in every line",
    )
    parser.add_argument("--model", required=True, metavar="MODEL", help="the model's folder")
    parser.add_argument(
        "--output",
        required=True,
        metavar="PATH",
        help="label map (.tif, .png) or folder for one image, folder for several",
    )
    parser.add_argument(
        "--overlay",
        action="store_true",
        help="also write <output>_overlay.png, the image with its labels on top",
    )
    add_source_options(parser)
    add_result_options(parser)
    add_context_options(parser)
    add_running_options(parser, precision="auto")
    add_refining_option(parser)
    parser.add_argument(
        "--answer",
        type=Literal["own", "global", "local"],
        default="own",
        help="whose answer: the model's own, or what one branch alone says, for comparison",
    )
    add_memory_options(parser)
    add_cluster_options(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with a run that was stopped; images that are finished are passed over",
    )
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    add_view_options(parser)
    return parser


def run(options: Namespace) -> int:
    """Segment the images; 1 if one of them could not be.

    Raises:
        UsageError: If no images are named.
    """
    if not (options.images or options.list):
        raise UsageError("expected an IMAGE, or --list with a file that names some")
    # These import torch.
    from glnet.inference.blending import Blending  # noqa: PLC0415
    from glnet.inference.heap import share_one_heap  # noqa: PLC0415
    from glnet.inference.jobs import expanded  # noqa: PLC0415
    from glnet.inference.segment import segment_files  # noqa: PLC0415
    from glnet.inference.starting import Rules  # noqa: PLC0415

    share_one_heap()
    images = expanded(options.images, options.list)
    _require_one_at_a_time(options, images)
    blending: Blending | None = options.blending
    settings = replace(
        running_settings(options),
        regions=regions_of(options),
        blending=blending,
        answer=options.answer,
        scratch=None if options.scratch is None else Path(options.scratch),
    )
    source = source_of(options)
    rules = Rules(overwrite=options.overwrite, resume=options.resume)
    with (
        executor_of(options) as executor,
        closing(SegmentDisplay(is_quiet=options.json)) as display,
    ):
        segment = partial(
            segment_files,
            images,
            options.output,
            options.model,
            settings,
            extras=extras_of(options),
            source=source,
            executor=executor,
        )
        if options.view:
            shown = Shown(
                images,
                source.bands,
                source.level,
                source.mpp,
                settings.host_memory,
                settings.scratch,
            )
            batch = segment_in_view(options, shown, segment, rules, display, display.close)
        else:
            batch = segment(rules=rules, watcher=display)
    if options.json:
        say_json(batch.to_dict() | ({} if executor is None else efforts_of(executor)))
        return 1 if batch.failures else 0
    if executor is not None:
        say("\n".join(effort_lines(executor)))
    if len(images) > 1:
        say(summary(batch))
    return 1 if batch.failures else 0


def _require_one_at_a_time(options: Namespace, images: "Sequence[str | Path]") -> None:
    if options.view and options.ray is not None and len(images) > 1:
        raise ConfigurationError(
            f"--view shows one image after another, and --ray segments {len(images)} at once; "
            "leave one of them out"
        )
