"""The eight ways to lay a raster: quarter turns and a mirror, for windows and whole maps alike."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glnet.geometry import Size, Window
from glnet.raster.protocol import Masked, Raster, require_inside
from glnet.raster.views import LayeredView


@dataclass(frozen=True, slots=True)
class Turn:
    """``quarters`` turns to the left, then a mirror from left to right if ``mirrored``."""

    quarters: int = 0
    mirrored: bool = False

    def apply(self, maps: NDArray[Any]) -> NDArray[Any]:
        """Turn the last two axes."""
        turned = np.rot90(maps, self.quarters, axes=(-2, -1))
        return np.flip(turned, axis=-1) if self.mirrored else turned

    @property
    def back(self) -> "Turn":
        """The way that undoes this one; a mirror undoes itself, however it was turned before."""
        return self if self.mirrored else Turn(-self.quarters % 4)

    def size(self, raster: Size) -> Size:
        """The size of a raster once turned."""
        return Size(raster.width, raster.height) if self.quarters % 2 else raster

    def source(self, window: Window, raster: Size) -> Window:
        """Where a window of the turned raster lies in the raster of this size."""
        turned = self.size(raster)
        row, column, size = window.row, window.column, window.size
        if self.mirrored:
            column = turned.width - window.column_stop
        for _ in range(self.quarters % 4):
            # One turn to the right takes us back: pixel (i, j) comes from (j, width - 1 - i).
            row, column = column, turned.height - (row + size.height)
            size, turned = Size(size.width, size.height), Size(turned.width, turned.height)
        return Window(row, column, size)


UPRIGHT = Turn()


class TurnedRaster(LayeredView):
    """A raster seen as if its picture had been turned before it was opened.

    A window is read where it lies in the raster and then turned itself. Strips of a raster on its
    side are columns of the file: cheap where it is tiled, dear where it holds long rows.

    Args:
        raster: What is to be turned.
        turn: How.
    """

    def __init__(self, raster: Raster, turn: Turn) -> None:
        super().__init__(raster)
        self._turn = turn

    @property
    def size(self) -> Size:
        """Height and width in pixels, once turned."""
        return self._turn.size(self.raster.size)

    @property
    def block(self) -> Size:
        """What is decoded together, once turned."""
        return self._turn.size(super().block)

    def alike(self, smaller: Raster) -> Raster:
        """Turned likewise: a turned thumbnail is the thumbnail of the turned raster."""
        return TurnedRaster(smaller, self._turn)

    def read_masked(self, window: Window) -> Masked:
        """The pixels of a window of the turned raster, and which of them are measurements.

        Raises:
            GeometryError: If the window is not inside the raster.
            RasterError: If the pixels cannot be read.
        """
        require_inside(window, self)
        found = self.raster.read_masked(self._turn.source(window, self.raster.size))
        pixels = np.ascontiguousarray(self._turn.apply(found.pixels))
        return Masked(pixels, None if found.valid is None else self._turn.apply(found.valid))
