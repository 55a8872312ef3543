"""Images laid in one of the eight ways at random, read window by window."""

import random
from typing import Any, Protocol

from numpy.typing import NDArray

from glnet.geometry import Size, Window
from glnet.raster import Turn

__all__ = ["Turn", "random_turn", "Reader", "read_turned"]


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
