"""A segmentation that runs in this process, as the page sees it and may stop it."""

import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from threading import Condition

import numpy as np
from numpy.typing import NDArray

from glnet.closing import Closing
from glnet.data.classes import ClassInfo
from glnet.errors import OutputError
from glnet.geometry import PatchGrid, Size, Window
from glnet.viewing.finding import Named, find_files
from glnet.viewing.gallery import Gallery
from glnet.viewing.shown_image import Running
from glnet.viewing.sources import GrowingLabels
from glnet.wording import UNIT, share_of

VIEWING_BYTES = 320 << 20
"""Host memory beside the segmentation: tiles that are kept and made, and the server's libraries.

A server by itself grew by up to 288 MiB (benchmarks/results, view)."""

LOOKED_S = 90.0
"""For so long after its last question a page counts as open; one in the background asks seldom."""


class StoppedError(KeyboardInterrupt):
    """The page wants the run to stop: to the rest of the program, as if Ctrl-C had been pressed."""


class JobState(StrEnum):
    """What becomes of a run."""

    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FINISHED = "finished"


MemoryNow = Callable[[], int | None]
"""Says how much host memory this process takes; None where the system does not tell."""


class LiveJob(Closing):
    """What is known of a run, told by the thread that segments and asked for by the server's.

    Args:
        gallery: All images of the run, by number.
        names: Of the images, as the run calls them.
        budget: Host memory that the run may take.
        memory: Says how much it takes.
    """

    def __init__(
        self,
        gallery: Gallery,
        names: Sequence[str],
        budget: int | None,
        memory: MemoryNow,
    ) -> None:
        self._gallery, self._names = gallery, list(names)
        self._budget, self._memory = budget, memory
        self._changed = Condition()
        self._state = JobState.RUNNING
        self._number: int | None = None
        self._phase, self._done, self._total = "starting", 0, 0
        self._began = self._phase_began = time.monotonic()
        self._share = self._share_began = 0.0
        self._size: Size | None = None
        self._labels: GrowingLabels | None = None
        self._shown: GrowingLabels | None = None
        self._note: str | None = None
        self._last_asked: float | None = None

    @property
    def host_bytes(self) -> int:
        """Host memory that the page takes while it is looked at."""
        return VIEWING_BYTES

    def close(self) -> None:
        """Give back the room of the labels that are shown. Closing twice is no error."""
        shown, self._labels, self._shown = self._shown, None, None
        if shown is not None:
            shown.close()

    def starts(self, image: str) -> None:
        """An image is next."""
        self._number = self._names.index(image)
        self._phase, self._done, self._total = "starting", 0, 0
        self._began = self._phase_began = time.monotonic()
        self._share = self._share_began = 0.0
        self._note, self._size = None, None

    def opens(
        self,
        size: Size,
        classes: tuple[ClassInfo, ...],
        grids: Sequence[tuple[Window, PatchGrid]],
    ) -> None:
        """The image is open, and will be labelled."""
        self._size = size
        assert self._number is not None
        self.close()  # Of an image that was stopped.
        try:
            self._labels = GrowingLabels("labels", size, self._gallery.folder)
        except OutputError as error:  # The run matters more than being looked at.
            self._note = str(error)
            return
        self._shown = self._labels
        self._gallery.show_running(self._number, Running(self._labels, classes, grids))

    def advances(self, phase: str, done: int, total: int) -> None:
        """So many steps of a phase are done.

        Raises:
            StoppedError: If the page wants the run to stop.
        """
        share = share_of(phase, done, total)
        # A phase is named after the region at hand, too: all of them are one piece of work.
        is_unit = UNIT.search(phase) is not None
        if share < self._share or (phase != self._phase and not is_unit):
            self._phase_began, self._share_began = time.monotonic(), share
        self._share = share
        self._phase, self._done, self._total = phase, done, total
        if self._state is JobState.STOPPING:
            raise StoppedError

    def sees(self, window: Window, labels: NDArray[np.uint8]) -> None:
        """A window of labels is written."""
        if self._labels is None:
            return
        try:
            self._labels.add(window, labels)
        except OutputError as error:
            self._labels, self._note = None, f"the page shows no more labels: {error}"

    def announces(self, text: str) -> None:
        """What is going to happen with this image."""
        self._note = text

    def ends(self, image: str, output: Path | None) -> None:
        """An image is done, and its label map is there; or none, where it has failed."""
        number = self._names.index(image)
        known = self._gallery.known[number]
        if output is not None:
            (known.files,) = find_files([known.files.image], Named(labels=output))
        self._gallery.show_running(number, None)
        self.close()  # Who still reads them is told to ask anew.

    def stops(self) -> None:
        """It has stopped, and may be resumed."""
        with self._changed:
            self._state = JobState.STOPPED
            self._phase_began = time.monotonic()

    def finishes(self) -> None:
        """Nothing more will come."""
        self._state = JobState.FINISHED

    def waits_for_resume(self, patience_s: float = LOOKED_S) -> bool:
        """Wait until the page wants to go on; not, once nobody looks at it any more."""
        with self._changed:
            while self._state is not JobState.RUNNING:
                if not self.is_looked_at(patience_s):
                    return False
                self._changed.wait(0.2)
        return True

    def is_looked_at(self, patience_s: float = LOOKED_S) -> bool:
        """Whether a page has asked something lately."""
        return self._last_asked is not None and time.monotonic() - self._last_asked < patience_s

    def cancel(self) -> None:
        """Stop it at the next step, so that it can be resumed."""
        with self._changed:
            if self._state is JobState.RUNNING:
                self._state = JobState.STOPPING

    def resume(self) -> None:
        """Go on with it."""
        with self._changed:
            if self._state is JobState.STOPPED:
                self._state = JobState.RUNNING
                self._changed.notify_all()

    def described(self) -> dict[str, object]:
        """How far it is, for JSON."""
        self._last_asked = now = time.monotonic()
        spent, share = now - self._phase_began, self._share - self._share_began
        left = speed = None
        if share > 0 and self._state is JobState.RUNNING:
            left = spent * (1 - self._share) / share
        if self._size is not None and spent > 0 and share > 0:
            speed = self._size.area / 1e6 * share / spent
        return {
            "state": str(self._state),
            "image": self._number,
            "images": len(self._names),
            "phase": self._phase,
            "done": self._done,
            "total": self._total,
            "share": self._share,
            "seconds": now - self._began,
            "seconds_left": left,
            "megapixels_per_second": speed,
            "memory": self._memory(),
            "budget": self._budget,
            "note": self._note,
        }
