"""Images that are open: a few, each opened once, however many ask for it meanwhile."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from glnet.closing import Closing
from glnet.viewing.shown_image import ShownImage

MOST_OPEN = 8
MOST_HELD_BYTES = 1 << 27
"""Images that nobody looks at are closed beyond these."""


@dataclass(eq=False)
class _Place:
    image: Future[ShownImage] = field(default_factory=Future)
    uses: int = 0


class OpenImages(Closing):
    """Images by their number, opened when they are asked for. For any number of threads.

    Files are opened and closed outside of the lock: one that lies on a slow disk keeps those
    waiting who ask for it, and nobody else.

    Args:
        opened: Opens an image.
    """

    def __init__(self, opened: Callable[[int], ShownImage]) -> None:
        self._opened = opened
        self._places: OrderedDict[int, _Place] = OrderedDict()
        self._left: list[_Place] = []
        self._lock = Lock()

    @property
    def numbers(self) -> list[int]:
        """Of those that are open or begin to be, the one first that was asked for last."""
        with self._lock:
            return list(reversed(self._places))

    def get(self, number: int) -> ShownImage | None:
        """An image, if it is open now; to be asked, not to be read."""
        with self._lock:
            place = self._places.get(number)
            return None if place is None else _image_in(place)

    @contextmanager
    def shown(self, number: int) -> Iterator[ShownImage]:
        """An image, which stays open inside the block; opened by the first who asks for it.

        Raises:
            IndexError: If there is no such image.
            RasterError: If it cannot be opened; all who wait are told, and the next tries again.
            DatasetError: If a layer has another size than the image.
            ConfigurationError: If what a layer means is not known.
        """
        with self._lock:
            is_first = number not in self._places
            place = self._places.setdefault(number, _Place())
            self._places.move_to_end(number)
            place.uses += 1
        try:
            if is_first:
                self._open(number, place)
            yield place.image.result()
        finally:
            with self._lock:
                place.uses -= 1
            self._close_some()

    def forget(self, number: int) -> None:
        """Close an image as soon as nobody uses it; who asks for it next has it opened anew."""
        with self._lock:
            place = self._places.pop(number, None)
            if place is not None:
                self._left.append(place)
        self._close_some()

    def close(self) -> None:
        """Close all. Closing twice is no error."""
        with self._lock:
            self._left.extend(self._places.values())
            self._places.clear()
        self._close_some()

    def _open(self, number: int, place: _Place) -> None:
        try:
            place.image.set_result(self._opened(number))
        except BaseException as error:
            with self._lock:
                if self._places.get(number) is place:
                    del self._places[number]
            place.image.set_exception(error)

    def _close_some(self) -> None:
        with self._lock:
            self._leave_some()
            idle = [place for place in self._left if not place.uses]
            self._left = [place for place in self._left if place.uses]
        for place in idle:
            image = _image_in(place)
            if image is not None:
                image.close()

    def _leave_some(self) -> None:
        idle = [number for number, place in self._places.items() if not place.uses]
        for number in idle[:-1]:
            held = sum(image.held_bytes for image in map(_image_in, self._places.values()) if image)
            if len(self._places) <= MOST_OPEN and held <= MOST_HELD_BYTES:
                break
            self._left.append(self._places.pop(number))


def _image_in(place: _Place) -> ShownImage | None:
    """None while it is being opened, and where it could not be."""
    is_open = place.image.done() and place.image.exception() is None
    return place.image.result() if is_open else None
