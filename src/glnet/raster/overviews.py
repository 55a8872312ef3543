"""Smaller copies that files keep of themselves, where a thumbnail can be made of one."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, Protocol, runtime_checkable

from glnet.geometry import Size, Window
from glnet.raster.protocol import Raster

LEAST_SHRINK = 8
"""Thumbnails that shrink less are made of the raster itself."""

LEAST_SAMPLES = 4
"""Pixels of an overview along each side of a thumbnail's pixel, at least.

So that the thumbnail is a mean of many, however the overview was made: often of every other pixel.
"""


@runtime_checkable
class HasOverviews(Protocol):
    """A raster that may have smaller copies of itself."""

    @property
    def overviews(self) -> Sequence[int]:
        """How many times smaller each is, about, the largest first."""
        ...

    def overview(self, number: int) -> AbstractContextManager[Raster]:
        """One of them, by its place in `overviews`: the whole raster, in fewer pixels."""
        ...


class Source(NamedTuple):
    """What a thumbnail is made of.

    Attributes:
        raster: The raster itself or an overview.
        window: The same part of the picture, in its pixels.
        overview: How many times smaller the overview is; None for the raster itself.
    """

    raster: Raster
    window: Window
    overview: int | None


@contextmanager
def thumbnail_source(raster: Raster, window: Window, size: Size) -> Iterator[Source]:
    """The smallest overview that a thumbnail can be made of, or the raster where there is none.

    The rule: the thumbnail is at least `LEAST_SHRINK` times smaller than the window in both
    directions; the edges of the window are edges of the overview's pixels, as those of the whole
    raster always are; and the window has at least `LEAST_SAMPLES` times the thumbnail's pixels
    there, in both directions.

    Args:
        raster: With or without overviews.
        window: What is to be shown of it.
        size: Of the thumbnail.

    Raises:
        RasterError: If an overview cannot be opened.
    """
    if isinstance(raster, HasOverviews) and _is_within(size, window.size, LEAST_SHRINK):
        for number in reversed(range(len(raster.overviews))):
            with raster.overview(number) as smaller:
                part = part_of_overview(window, raster.size, smaller.size)
                if part is not None and _is_within(size, part.size, LEAST_SAMPLES):
                    yield Source(smaller, part, raster.overviews[number])
                    return
    yield Source(raster, window, None)


def overview_for(raster: Raster, size: Size) -> int | None:
    """How many times smaller the overview is that a raster's thumbnail of a size is made of."""
    with thumbnail_source(raster, Window(0, 0, raster.size), size) as source:
        return source.overview


def part_of_overview(window: Window, raster: Size, overview: Size) -> Window | None:
    """A window of a raster in pixels of its overview; None if its edges cut through any."""
    rows = _scaled((window.row, window.row_stop), raster.height, overview.height)
    columns = _scaled((window.column, window.column_stop), raster.width, overview.width)
    if rows is None or columns is None:
        return None
    return Window(rows[0], columns[0], Size(rows[1] - rows[0], columns[1] - columns[0]))


def _scaled(edges: tuple[int, int], length: int, fewer: int) -> tuple[int, int] | None:
    """Edges along an axis of ``length`` pixels on one of ``fewer``, which cover the same."""
    first, last = (divmod(edge * fewer, length) for edge in edges)
    return None if first[1] or last[1] else (first[0], last[0])


def _is_within(small: Size, large: Size, times: int) -> bool:
    return small.height * times <= large.height and small.width * times <= large.width
