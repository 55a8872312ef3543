"""All images of a page: a few of them open, all of them looked at once in the background."""

import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Condition, RLock, Thread

import numpy as np

from glnet.closing import Closing
from glnet.errors import GLNetError
from glnet.geometry import Size
from glnet.viewing.encoding import Encoded, picture
from glnet.viewing.finding import ImageFiles
from glnet.viewing.open_images import OpenImages
from glnet.viewing.shown_image import Running, Showing, ShownImage
from glnet.viewing.survey import Survey, survey

THUMBNAIL = 160
"""The longer side of a picture in the strip of images."""


@dataclass(eq=False)
class Known:
    """What is known of an image without opening it.

    Attributes:
        files: Where it is.
        version: Another number once it has been opened anew.
        thumbnail: In small.
        survey: What was counted of its labels.
        error: Why it cannot be shown.
        is_done: Whether it has been looked at.
        running: What a segmentation that runs gives of it.
    """

    files: ImageFiles
    version: int = 0
    thumbnail: Encoded | None = None
    survey: Survey | None = None
    error: str | None = None
    is_done: bool = False
    running: Running | None = None


class Gallery(Closing):
    """Images by their number.

    Args:
        images: Which.
        showing: How.
        folder: For temporary files, which are gone at the end; the system's by default.
    """

    def __init__(
        self, images: Sequence[ImageFiles], showing: Showing, folder: Path | None = None
    ) -> None:
        self.known = [Known(files) for files in images]
        self._showing = showing
        self.folder = folder or Path(tempfile.gettempdir())
        self._images = OpenImages(lambda number: self._opened(self.known[number]))
        # The event loop waits for it: nobody may wait for a disk who holds it.
        self._lock = RLock()
        self._changed = Condition(self._lock)
        self._wanted: int | None = None
        self._is_awake, self._is_closed = False, False
        self._worker = Thread(target=self._look_at_all, name="glnet-view", daemon=True)
        self._opener: Thread | None = None

    def require_all(self) -> None:
        """Open every image once, so that what does not fit is found out at the start.

        Raises:
            RasterError: If a file cannot be opened.
            DatasetError: If a layer has another size than its image.
            ConfigurationError: If what a layer means is not known.
        """
        for known in self.known:
            self._opened(known).close()

    def start(self) -> None:
        """Have a thread that looks at all images, once somebody looks at any."""
        self._worker.start()

    def shown(self, number: int) -> AbstractContextManager[ShownImage]:
        """An image, opened where it is not, and kept open for a while.

        Raises:
            IndexError: If there is no such image.
            RasterError: If it cannot be opened.
            DatasetError: If a layer has another size by now.
        """
        return self._images.shown(number)

    def open(self, number: int) -> None:
        """Have an image open for those who ask next.

        Raises:
            IndexError: If there is no such image.
            RasterError: If it cannot be opened.
            DatasetError: If a layer has another size by now.
        """
        with self.shown(number):
            pass
        with self._lock:
            self._changed.notify_all()

    def is_open(self, number: int) -> bool:
        """Whether an image can be shown without being opened first."""
        return self._images.get(number) is not None

    def wake(self) -> None:
        """Somebody looks: begin to look at all images in the background."""
        with self._lock:
            self._is_awake = True
            self._changed.notify_all()

    def want(self, number: int) -> None:
        """Look at this image before all others."""
        with self._lock:
            self._wanted = number
            self.wake()

    def reload(self, number: int, files: ImageFiles | None = None) -> None:
        """Open an image anew when it is next asked for.

        Args:
            number: Which.
            files: Where it is now, if elsewhere.
        """
        known = self.known[number]
        known.files = files or known.files
        self._images.forget(number)
        # Only now: whoever knows the new version is shown what is opened from here on.
        with self._lock:
            known.version += 1
            known.thumbnail, known.survey, known.error = None, None, None
            known.is_done = False
            self._changed.notify_all()

    def show_running(self, number: int, running: Running | None) -> None:
        """Show what a segmentation writes of an image; or no longer."""
        self.known[number].running = running
        self.reload(number)

    def close(self) -> None:
        """Close all. Closing twice is no error."""
        with self._lock:
            self._is_closed = True
            self._changed.notify_all()
        for thread in (self._worker, self._opener):
            if thread is not None and thread.is_alive():
                thread.join()
        self._images.close()

    def _opened(self, known: Known) -> ShownImage:
        return ShownImage(known.files, self._showing, self.folder, known.running)

    def _look_at_all(self) -> None:
        while (number := self._next()) is not None:
            self._try(number, self._look_at)

    def _try(self, number: int, work: Callable[[int], None]) -> None:
        known = self.known[number]
        version = known.version
        try:
            work(number)
        except Exception as error:  # One image ends no looking at the others.
            if not isinstance(error, GLNetError):
                traceback.print_exception(error)
            if version == known.version:
                words = " ".join(str(error).split())
                known.error, known.is_done = words or type(error).__name__, True

    def _next(self) -> int | None:
        """Which open image is to be looked at; None at the end. Waits while there is none."""
        with self._lock:
            while not self._is_closed:
                found = self._next_open() if self._is_awake else None
                if found is not None:
                    return found
                self._changed.wait()
            return None

    def _next_open(self) -> int | None:
        """An open image to look at; where there is none, the next one begins to be opened."""
        if self._wanted is not None and self._is_unready(self._wanted):
            return self._wanted
        for number in self._images.numbers:
            if not self.known[number].is_done and self.is_open(number):
                return number
        order = chain([] if self._wanted is None else [self._wanted], range(len(self.known)))
        undone = next((number for number in order if not self.known[number].is_done), None)
        if undone is not None and self._opener is None:
            # By another thread: this one is there for what is open, however long that takes.
            self._opener = Thread(
                target=self._open_behind, args=(undone,), name="glnet-open", daemon=True
            )
            self._opener.start()
        return None

    def _open_behind(self, number: int) -> None:
        self._try(number, self.open)
        with self._lock:
            self._opener = None
            self._changed.notify_all()

    def _is_unready(self, number: int) -> bool:
        """Whether an image is open, and there is something to do for it."""
        image = self._images.get(number)
        known = self.known[number]
        is_half_done = image is not None and known.error is None and not image.is_prepared
        return image is not None and (is_half_done or not known.is_done)

    def _look_at(self, number: int) -> None:
        known = self.known[number]
        version, is_left = known.version, False

        def goes_on() -> bool:
            nonlocal is_left
            wanted = self._wanted
            is_other = wanted is not None and wanted != number and self._is_unready(wanted)
            # What was left once is left: somebody may want this image again meanwhile.
            is_left = is_left or self._is_closed or is_other or known.version != version
            return not is_left

        with self.shown(number) as image:
            image.prepare(goes_on)
            if not goes_on():
                return
            if known.thumbnail is None:
                known.thumbnail = thumbnail(image)
            counted = self._surveyed(image, goes_on)
            with self._lock:
                if goes_on():
                    known.survey, known.is_done = counted, True

    def _surveyed(self, image: ShownImage, goes_on: Callable[[], bool]) -> Survey | None:
        if image.labels is None:
            return None
        place = image.georeference
        return survey(image.labels, image.truth, image.confidence, place, goes_on)


def thumbnail(image: ShownImage) -> Encoded | None:
    """An image in small; None where its pixels cannot be read.

    Raises:
        RasterError: If they cannot be read.
    """
    pyramid = image.picture.pyramid
    if pyramid is None:
        return None
    image.layer(0)
    longer = max(pyramid.size.height, pyramid.size.width)
    scale = min(1.0, THUMBNAIL / longer)
    sides = (max(1, round(side * scale)) for side in (pyramid.size.height, pyramid.size.width))
    found = pyramid.whole(Size(*sides))
    pixels = image.stretch.shown(found.pixels)
    if found.valid is not None:
        pixels = np.where(found.valid[..., np.newaxis], pixels, np.uint8(0))
    return picture(pixels, None, exact=False)
