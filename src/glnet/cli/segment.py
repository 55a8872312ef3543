"""``glnet segment``: label every pixel of images of any size."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from glnet.cli.console import ProgressDisplay, complain, in_binary_units, say, say_json
from glnet.cli.running import add_memory_options, add_running_options, running_settings

if TYPE_CHECKING:
    from glnet.inference.report import SegmentFailure, SegmentReport


def build_parser() -> ArgumentParser:
    """What the command takes."""
    parser = ArgumentParser(
        exit_on_error=False,
        description="Label every pixel of images of any size. A label map has its image's size and "
        "georeferencing, and the number of a class at every pixel.",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="GeoTIFF, JPEG, PNG, JP2, ...")
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
    add_running_options(parser, precision="auto")
    add_memory_options(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    return parser


def run(options: Namespace) -> int:
    """Segment the images; 1 if one of them could not be."""
    from glnet.inference.segment import segment_files  # noqa: PLC0415 - imports torch

    settings = running_settings(options)
    with closing(_Display(is_quiet=options.json)) as display:
        batch = segment_files(
            options.images,
            options.output,
            options.model,
            settings,
            has_overlay=options.overlay,
            overwrite=options.overwrite,
            watcher=display,
        )
    if options.json:
        say_json(batch.to_dict())
    return 1 if batch.failures else 0


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

    def finishes(self, report: "SegmentReport") -> None:
        self.close()
        if not self._is_quiet:
            say(closing_line(report))
            if report.note is not None:
                say(report.note)

    def fails(self, failure: "SegmentFailure") -> None:
        self.close()
        complain(f"error: {failure.error}")

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
    if report.peak_host_bytes is not None:
        parts.append(f"peak memory {in_binary_units(report.peak_host_bytes)}")
    if report.peak_device_bytes is not None:
        parts.append(f"on the GPU {in_binary_units(report.peak_device_bytes)}")
    return ", ".join(parts)
