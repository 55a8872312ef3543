"""``glnet segment --view``: the page on the running job, which may stop it and go on with it."""

import time
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from glnet.cli.console import complain

if TYPE_CHECKING:
    from glnet.inference.report import SegmentBatch, SegmentFailure, SegmentReport, Watcher
    from glnet.inference.starting import Rules
    from glnet.viewing.live import LiveJob

    Segment = Callable[..., SegmentBatch]

PAUSE_S = 0.25


def add_view_options(parser: ArgumentParser) -> None:
    """Add ``--view``, ``--port`` and ``--open``."""
    parser.add_argument(
        "--view",
        action="store_true",
        help="serve a page to this machine that shows the labels as they are written, and can stop "
        "the run and go on with it; it ends with the run, once nobody looks at it any more",
    )
    parser.add_argument("--port", type=int, default=0, help="of the page; 0 for any that is free")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


@dataclass(frozen=True)
class Shown:
    """What the page shows of a run.

    Attributes:
        images: As the run calls them.
        bands: Of the images; all if None.
        level: Of slides.
        mpp: Of slides.
        host_memory: What the run may take, in bytes.
        scratch: Where temporary files lie; the system's folder if None.
    """

    images: Sequence[str | Path]
    bands: tuple[int, ...] | None
    level: int | None
    mpp: float | None
    host_memory: int | None
    scratch: Path | None = None


def segment_in_view(
    options: Namespace,
    shown: Shown,
    segment: "Segment",
    rules: "Rules",
    display: "Watcher",
    quiet: Callable[[], None],
) -> "SegmentBatch":
    """Segment, and show it all the while.

    Args:
        options: Of the command.
        shown: What is shown.
        segment: Does it, given ``rules``, ``watcher`` and ``audience``.
        rules: What may happen to files that are there.
        display: Told how it goes, too.
        quiet: Takes away what the display shows of an image that has been stopped.

    Raises:
        ConfigurationError: If the page cannot be served.
        KeyboardInterrupt: If it was stopped, and nobody has gone on with it.
    """
    from glnet.inference.machine import resident_host_bytes  # noqa: PLC0415 - imports torch
    from glnet.viewing.finding import ImageFiles  # noqa: PLC0415
    from glnet.viewing.gallery import Gallery  # noqa: PLC0415
    from glnet.viewing.live import LiveJob  # noqa: PLC0415
    from glnet.viewing.serving import serving  # noqa: PLC0415
    from glnet.viewing.shown_image import Showing  # noqa: PLC0415

    showing = Showing(bands=shown.bands, level=shown.level, mpp=shown.mpp)
    gallery = Gallery([ImageFiles(image=image) for image in shown.images], showing, shown.scratch)
    names = [str(image) for image in shown.images]
    with ExitStack() as stack:
        job = stack.enter_context(LiveJob(gallery, names, shown.host_memory, resident_host_bytes))
        address = stack.enter_context(serving(gallery, port=options.port, job=job))
        complain(f"view: {address.url}")
        if options.open:
            webbrowser.open(address.url)
        watcher = _Both(display, job, lambda image: _output_of(image, shown, options.output))
        batch = _segmented(job, partial(segment, audience=job), rules, watcher, quiet)
        job.finishes()
        with suppress(KeyboardInterrupt):  # All is done.
            if job.is_looked_at():
                complain("view: the page stays while somebody looks at it; Ctrl-C ends it")
            while job.is_looked_at():
                time.sleep(PAUSE_S)
    return batch


def _segmented(
    job: "LiveJob",
    segment: "Segment",
    rules: "Rules",
    watcher: "_Both",
    quiet: Callable[[], None],
) -> "SegmentBatch":
    """Segment; where the page stops it, go on once the page wants to.

    Returns:
        Of all images, whichever side of a stop they were on.
    """
    from glnet.viewing.live import StoppedError  # noqa: PLC0415

    while True:
        try:
            segment(rules=rules, watcher=watcher)
            return watcher.batch()
        except StoppedError:
            quiet()
            complain("view: stopped by the page, which can go on with it; Ctrl-C ends it")
            job.stops()
            if not job.waits_for_resume():
                raise
            # What else lies there is not this run's: it may be there to be replaced.
            rules = replace(rules, resume=True, done=watcher.done())


def _output_of(image: str, shown: Shown, output: str) -> Path | None:
    """The label map of an image of the run."""
    from glnet.inference.jobs import Extras, plan_jobs  # noqa: PLC0415 - imports much

    jobs = plan_jobs(shown.images, output, Extras())
    return next((job.output for job in jobs if str(job.image) == image), None)


class _Both:
    """Tells the terminal and the page, and keeps what has become of every image."""

    def __init__(
        self,
        display: "Watcher",
        job: "LiveJob",
        output_of: Callable[[str], Path | None] = lambda _: None,
    ) -> None:
        self._display, self._job, self._output_of = display, job, output_of
        self._reports: list[SegmentReport] = []
        self._failures: list[SegmentFailure] = []
        self._passed_over: list[str] = []

    def batch(self) -> "SegmentBatch":
        from glnet.inference.report import SegmentBatch  # noqa: PLC0415 - imports much

        return SegmentBatch(tuple(self._reports), tuple(self._failures), tuple(self._passed_over))

    def done(self) -> frozenset[str]:
        ended = [of.image for of in self._reports] + [of.image for of in self._failures]
        return frozenset(ended + self._passed_over)

    def starts(self, image: str) -> None:
        self._job.starts(image)
        self._display.starts(image)

    def advances(self, phase: str, done: int, total: int) -> None:
        self._display.advances(phase, done, total)
        self._job.advances(phase, done, total)

    def announces(self, text: str) -> None:
        self._job.announces(text)
        self._display.announces(text)

    def finishes(self, report: "SegmentReport") -> None:
        self._reports.append(report)
        self._job.ends(report.image, Path(report.output))
        self._display.finishes(report)

    def fails(self, failure: "SegmentFailure") -> None:
        self._failures.append(failure)
        self._job.ends(failure.image, None)
        self._job.announces(f"failed: {failure.error}")
        self._display.fails(failure)

    def passes_over(self, image: str) -> None:
        self._passed_over.append(image)
        self._job.ends(image, self._output_of(image))
        self._display.passes_over(image)
