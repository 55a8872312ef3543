"""``glnet segment``: label every pixel of images of any size."""

import textwrap
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveInt

from glnet.cli.cluster import add_cluster_options, effort_lines, efforts_of, executor_of
from glnet.cli.console import WIDTH, ProgressDisplay, complain, in_binary_units, say, say_json
from glnet.cli.parsing import UsageError
from glnet.cli.running import (
    add_everywhere_option,
    add_memory_options,
    add_refining_option,
    add_running_options,
    add_seeing_options,
    running_settings,
)
from glnet.cli.segment_view import Shown, add_view_options, segment_in_view
from glnet.errors import ConfigurationError
from glnet.wording import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glnet.inference.report import SegmentBatch, SegmentFailure, SegmentReport


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
    _add_source_options(parser)
    _add_result_options(parser)
    _add_context_options(parser)
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


def _add_source_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--bands",
        metavar="N,N,...",
        help="which bands, counted from 1, in the order of the model's, such as 4,3,2",
    )
    parser.add_argument(
        "--on-error",
        type=Literal["stop", "nodata"],
        default="stop",
        help="what becomes of damaged blocks of a file: the end, or no labels there",
    )
    parser.add_argument("--level", type=int, help="the level of a slide, 0 for the largest")
    parser.add_argument("--mpp", type=float, help="the micrometres per pixel of a slide to work at")
    parser.add_argument("--tissue", action="store_true", help="label only the tissue of a slide")


def _add_result_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--confidence",
        action="store_true",
        help="also write <output>_confidence.tif, the probability of the winning class",
    )
    parser.add_argument(
        "--probabilities",
        action="store_true",
        help="also write <output>_probabilities.tif, a band for every class",
    )
    parser.add_argument(
        "--vector",
        metavar="PATH",
        help="also write polygons: a .gpkg or .geojson file, or only the ending for several images",
    )
    parser.add_argument(
        "--boxes",
        action="store_true",
        help="of a coarse-to-fine model: also write <output>_boxes.geojson, the boxes that were "
        "refined, and draw them on the overlay",
    )
    parser.add_argument(
        "--simplify",
        type=NonNegativeFloat,
        metavar="PIXELS",
        help="how far polygons may stray from the pixels' edges",
    )
    parser.add_argument(
        "--cog", action="store_true", help="write Cloud Optimized GeoTIFFs; takes twice the disk"
    )


def _add_context_options(parser: ArgumentParser) -> None:
    add_everywhere_option(parser)
    add_seeing_options(parser)
    parser.add_argument(
        "--context",
        type=Literal["auto", "whole", "region"],
        default="auto",
        help="what the global branch sees at once: the whole image, or regions as large as the "
        "images of the training (auto: regions for sides over twice those; never for "
        "coarse-to-fine models)",
    )
    parser.add_argument(
        "--region-size", type=PositiveInt, metavar="PIXELS", help="the side of a region"
    )
    parser.add_argument(
        "--region-overlap",
        type=NonNegativeInt,
        metavar="PIXELS",
        help="by how much regions overlap",
    )
    parser.add_argument(
        "--blending",
        type=Literal["feathered", "uniform"],
        help="how patches are blended where they overlap (default: feathered; uniform for "
        "published checkpoints)",
    )
    parser.add_argument(
        "--scratch",
        metavar="FOLDER",
        help="where scores wait until they are stitched (default: beside the output)",
    )


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
    from glnet.inference.jobs import Extras, expanded  # noqa: PLC0415
    from glnet.inference.regions import RegionRule  # noqa: PLC0415
    from glnet.inference.segment import segment_files  # noqa: PLC0415
    from glnet.inference.source import Source  # noqa: PLC0415
    from glnet.inference.starting import Rules  # noqa: PLC0415

    share_one_heap()
    images = expanded(options.images, options.list)
    _require_one_at_a_time(options, images)
    blending: Blending | None = options.blending
    settings = replace(
        running_settings(options),
        regions=RegionRule(options.context, options.region_size, options.region_overlap),
        blending=blending,
        answer=options.answer,
        scratch=None if options.scratch is None else Path(options.scratch),
    )
    source = Source(
        bands=None if options.bands is None else numbers(options.bands),
        on_error=options.on_error,
        level=options.level,
        mpp=options.mpp,
        tissue=options.tissue,
    )
    rules = Rules(overwrite=options.overwrite, resume=options.resume)
    with executor_of(options) as executor, closing(_Display(is_quiet=options.json)) as display:
        segment = partial(
            segment_files,
            images,
            options.output,
            options.model,
            settings,
            extras=Extras(
                overlay=options.overlay,
                confidence=options.confidence,
                probabilities=options.probabilities,
                vector=options.vector,
                simplify=options.simplify,
                cog=options.cog,
                boxes=options.boxes,
            ),
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


SQUARE_METRES_PER_SQUARE_KILOMETRE = 10**6


def _require_one_at_a_time(options: Namespace, images: "Sequence[str | Path]") -> None:
    if options.view and options.ray is not None and len(images) > 1:
        raise ConfigurationError(
            f"--view shows one image after another, and --ray segments {len(images)} at once; "
            "leave one of them out"
        )


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers as people write several of them: ``4,3,2``.

    Raises:
        ConfigurationError: If they are none.
    """
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise ConfigurationError(
            f"--bands takes whole numbers with commas between, such as 4,3,2, got '{text}'"
        ) from error


class _Display:
    """Tells the user about one image after another."""

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._progress: ProgressDisplay | None = None

    def starts(self, image: str) -> None:
        self._progress = ProgressDisplay(Path(image).name)

    def advances(self, phase: str, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress.advance(phase, done, total)

    def announces(self, text: str) -> None:
        if self._progress is not None:
            self._progress.announce(text)

    def finishes(self, report: "SegmentReport") -> None:
        self.close()
        if not self._is_quiet:
            say(closing_line(report))
            say(context_line(report))
            for line in class_lines(report):
                say(line)
            if report.note is not None:
                say(report.note)

    def fails(self, failure: "SegmentFailure") -> None:
        self.close()
        complain(f"error: {failure.error}")

    def passes_over(self, image: str) -> None:
        if not self._is_quiet:
            say(f"{image}: finished before")

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def closing_line(report: "SegmentReport") -> str:
    """Size, time, speed and memory of one image."""
    parts = [
        f"{report.output}: {report.height}x{report.width}",
        f"{report.seconds:.1f} s",
        f"{report.megapixels_per_second:.3g} megapixels/s",
        f"{report.precision} on {report.device}{', compiled' if report.compiled else ''}",
    ]
    if report.refined_patches < report.patches:
        parts.append(f"refined {report.refined_patches} of {report.patches} patches")
    if report.peak_host_bytes is not None:
        parts.append(f"peak memory {in_binary_units(report.peak_host_bytes)}")
    if report.peak_device_bytes is not None:
        parts.append(f"on the GPU {in_binary_units(report.peak_device_bytes)}")
    return listed(parts, WIDTH)


def context_line(report: "SegmentReport") -> str:
    """What the global branch saw."""
    thumbnail = "" if report.thumbnail is None else f"; thumbnail of {report.thumbnail}"
    return textwrap.fill(f"context: {report.context}{thumbnail}", WIDTH, subsequent_indent="  ")


def summary(batch: "SegmentBatch") -> str:
    """What became of several images, and which of them failed."""
    parts = [f"{len(batch.reports)} segmented"]
    if batch.finished_before:
        parts.append(f"{len(batch.finished_before)} finished before")
    lines = [f"{len(batch.failures)} failed:"] if batch.failures else []
    lines += [f"  {of.error}" for of in batch.failures]
    return "\n".join([", ".join([*parts, *lines[:1]]), *lines[1:]])


def class_lines(report: "SegmentReport") -> list[str]:
    """How much of every class there is, a line each, aligned."""
    rows = [
        (of.name, f"{of.share:.1%}", f"{of.pixels:,} px", _area(of.square_metres))
        for of in report.classes
    ]
    if report.nodata_pixels:
        rows.append(("(no data)", "", f"{report.nodata_pixels:,} px", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        f"  {name:<{widths[0]}}  {share:>{widths[1]}}  {pixels:>{widths[2]}}  "
        f"{area:>{widths[3]}}".rstrip()
        for name, share, pixels, area in rows
    ]


def _area(square_metres: float | None) -> str:
    if square_metres is None:
        return ""
    if square_metres >= SQUARE_METRES_PER_SQUARE_KILOMETRE:
        return f"{square_metres / SQUARE_METRES_PER_SQUARE_KILOMETRE:,.2f} km2"
    return f"{square_metres:,.0f} m2"
