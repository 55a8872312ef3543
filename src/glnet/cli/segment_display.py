"""What is seen of a segmentation: a bar while an image runs, and some lines on what was found."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from glnet.cli.console import WIDTH, ProgressDisplay, complain, in_binary_units, say
from glnet.raster import AreaBasis
from glnet.wording import listed

if TYPE_CHECKING:
    from glnet.inference.report import SegmentBatch, SegmentFailure, SegmentReport

SQUARE_METRES_PER_SQUARE_KILOMETRE = 10**6
SQUARE_MILLIMETRES_PER_SQUARE_METRE = 10**6


class SegmentDisplay:
    """Tells the user about one image after another.

    Args:
        is_quiet: Whether only progress and failures are told.
    """

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._progress: ProgressDisplay | None = None

    def starts(self, image: str) -> None:
        """Begin an image's bar."""
        self._progress = ProgressDisplay(Path(image).name)

    def advances(self, phase: str, done: int, total: int) -> None:
        """Move the bar."""
        if self._progress is not None:
            self._progress.advance(phase, done, total)

    def announces(self, text: str) -> None:
        """Say what is going to happen with the image."""
        if self._progress is not None:
            self._progress.announce(text)

    def finishes(self, report: "SegmentReport") -> None:
        """Say what was found in the image, and what it took."""
        self.close()
        if not self._is_quiet:
            say(closing_line(report))
            say(context_line(report))
            for line in class_lines(report):
                say(line)
            if report.note is not None:
                say(report.note)

    def fails(self, failure: "SegmentFailure") -> None:
        """Say why the image cannot be segmented."""
        self.close()
        complain(f"error: {failure.line}")

    def passes_over(self, image: str) -> None:
        """Say that the image's results are there already."""
        if not self._is_quiet:
            say(f"{image}: finished before")

    def close(self) -> None:
        """Take the bar away, if there is one."""
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


def class_lines(report: "SegmentReport") -> list[str]:
    """How much of every class there is, a line each, aligned."""
    basis = report.area_basis
    rows = [
        (of.name, f"{of.share:.1%}", f"{of.pixels:,} px", _area(of.square_metres, basis))
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


def _area(square_metres: float | None, basis: str | None) -> str:
    if square_metres is None:
        return ""
    if square_metres >= SQUARE_METRES_PER_SQUARE_KILOMETRE:
        return f"{square_metres / SQUARE_METRES_PER_SQUARE_KILOMETRE:,.2f} km2"
    if basis == AreaBasis.SLIDE:
        return f"{square_metres * SQUARE_MILLIMETRES_PER_SQUARE_METRE:,.3f} mm2"
    return f"{square_metres:,.0f} m2"


def summary(batch: "SegmentBatch") -> str:
    """What became of several images, and which of them failed."""
    parts = [f"{len(batch.reports)} segmented"]
    if batch.finished_before:
        parts.append(f"{len(batch.finished_before)} finished before")
    lines = [f"{len(batch.failures)} failed:"] if batch.failures else []
    lines += [f"  {of.line}" for of in batch.failures]
    return "\n".join([", ".join([*parts, *lines[:1]]), *lines[1:]])
