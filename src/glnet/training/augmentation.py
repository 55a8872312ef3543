"""The eight ways to lay a raster: quarter turns and a mirror, for windows and whole maps alike."""

import random
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from glnet.geometry import Size, Window


@dataclass(frozen=True, slots=True)
class Turn:
    """``quarters`` turns to the left, then a mirror from left to right if ``mirrored``."""

    quarters: int = 0
    mirrored: bool = False

    def apply(self, maps: NDArray[Any]) -> NDArray[Any]:
        """Turn the last two axes."""
        turned = np.rot90(maps, self.quarters, axes=(-2, -1))
        return np.flip(turned, axis=-1) if self.mirrored else turned

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


def random_turn(rng: random.Random, *, flips: bool, quarter_turns: bool) -> Turn:
    """One of the allowed ways, all equally likely."""
    return Turn(rng.randrange(4) if quarter_turns else 0, flips and rng.random() < 0.5)


class Reader(Protocol):
    """Anything that gives the maps of a window."""

    def __call__(self, window: Window) -> NDArray[Any]:
        """Read (..., height, width)."""
        ...


def read_turned(read: Reader, turn: Turn, window: Window, raster: Size) -> NDArray[Any]:
    """Read a window of the turned raster, given how to read the raster as it lies."""
    return turn.apply(read(turn.source(window, raster)))
