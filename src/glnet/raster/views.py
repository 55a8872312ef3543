"""Rasters made of another raster: what they share, a part of one, one continued by its edge."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from glnet.geometry import Size, Window
from glnet.raster.overviews import HasOverviews
from glnet.raster.protocol import Blocked, Georeference, Masked, Pixels, Raster, require_inside


class RasterView:
    """All of a raster but what a subclass changes: `size` and `read_masked`.

    Args:
        raster: What is seen; not closed here.
    """

    def __init__(self, raster: Raster) -> None:
        self.raster = raster

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.raster.name

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return self.raster.size

    @property
    def bands(self) -> int:
        """The number of bands."""
        return self.raster.bands

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number type of the pixels."""
        return self.raster.dtype

    @property
    def georeference(self) -> Georeference:
        """Nowhere on Earth: answers go back to the raster itself."""
        return Georeference()

    @property
    def nodata(self) -> float | None:
        """The value that says "no measurement here", if there is one."""
        return self.raster.nodata

    @property
    def has_mask(self) -> bool:
        """Whether some pixels may be no measurements."""
        return self.raster.has_mask

    @property
    def block(self) -> Size:
        """What is decoded together, where the raster knows; else all of it."""
        return self.raster.block if isinstance(self.raster, Blocked) else self.raster.size

    def read(self, window: Window) -> Pixels:
        """The pixels of a window, (bands, height, width).

        Raises:
            GeometryError: If the window is not inside the raster.
            RasterError: If the pixels cannot be read.
        """
        return self.read_masked(window).pixels

    def read_masked(self, window: Window) -> Masked:
        """The pixels of a window, and which of them are measurements.

        Raises:
            GeometryError: If the window is not inside the raster.
            RasterError: If the pixels cannot be read.
        """
        return self.raster.read_masked(window)


class LayeredView(RasterView):
    """A view that shows overviews as it shows the raster: a subclass says how in `alike`."""

    def alike(self, smaller: Raster) -> Raster:
        """An overview of the raster, seen in the same way."""
        raise NotImplementedError

    @property
    def overviews(self) -> Sequence[int]:
        """How many times smaller the raster's overviews are, about, the largest first."""
        return self.raster.overviews if isinstance(self.raster, HasOverviews) else ()

    @contextmanager
    def overview(self, number: int) -> Iterator[Raster]:
        """One of them, by its place in `overviews`.

        Raises:
            RasterError: If it cannot be opened.
        """
        assert isinstance(self.raster, HasOverviews)
        with self.raster.overview(number) as smaller:
            yield self.alike(smaller)


class RasterPart(RasterView):
    """A window of a raster as a raster of its own.

    Args:
        raster: What it is a part of.
        part: Which; inside the raster.

    Raises:
        GeometryError: If it is not inside.
    """

    def __init__(self, raster: Raster, part: Window) -> None:
        super().__init__(raster)
        require_inside(part, raster)
        self.part = part

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return self.part.size

    def read_masked(self, window: Window) -> Masked:
        """The pixels of a window of the part, and which of them are measurements.

        Raises:
            GeometryError: If the window is not inside the part.
            RasterError: If the pixels cannot be read.
        """
        require_inside(window, self)
        return self.raster.read_masked(window.moved(self.part.row, self.part.column))


class ExtendedRaster(RasterView):
    """A raster whose last row and column are repeated until no side is under the least one.

    Args:
        raster: What is to be extended.
        least: Pixels that every side shall have.
    """

    def __init__(self, raster: Raster, least: int) -> None:
        super().__init__(raster)
        self._size = Size(max(raster.size.height, least), max(raster.size.width, least))

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return self._size

    def read_masked(self, window: Window) -> Masked:
        """The pixels of a window, repeated where there are none; so is what is a measurement."""
        require_inside(window, self)
        real = self.raster.size
        row, column = min(window.row, real.height - 1), min(window.column, real.width - 1)
        height = min(window.row_stop, real.height) - row
        width = min(window.column_stop, real.width) - column
        found = self.raster.read_masked(Window(row, column, Size(height, width)))
        rows = np.arange(window.row, window.row_stop).clip(max=real.height - 1) - row
        columns = np.arange(window.column, window.column_stop).clip(max=real.width - 1) - column
        places = (rows[:, None], columns)
        valid = None if found.valid is None else found.valid[places]
        return Masked(found.pixels[:, *places], valid)
