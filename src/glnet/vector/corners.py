"""Where the outlines of components turn: all that a polygon of pixels is made of.

A corner is one number: ``(row * stride + column) * 8 + kind``, where (row, column) is the upper
left corner of a pixel and the stride one more than the raster's width. Sorted, corners go through
the raster row by row.

Outlines keep their component to the left, as seen on a picture. At a corner of kind `NW` they turn
around the upper left of the four pixels there; at one of kind ``4 +`` they turn around a pixel that
is missing, while the three others belong to the component.
"""

from typing import NamedTuple

import numpy as np

from glnet.vector.cells import NOTHING, Cells, Indices

KINDS = 8
NW, SE, NE, SW = range(4)
NO_SW, NO_NE, NO_NW, NO_SE = range(4, 8)

EAST, WEST, NORTH, SOUTH = range(4)
COMING = np.array([EAST, WEST, SOUTH, NORTH, EAST, WEST, SOUTH, NORTH], dtype=np.uint8)
"""The direction in which an outline comes to a corner, by kind."""
GOING = np.array([NORTH, SOUTH, EAST, WEST, SOUTH, NORTH, WEST, EAST], dtype=np.uint8)
"""The direction in which it goes on."""


class Corners(NamedTuple):
    """Corners and whose they are."""

    places: Indices
    """(corners,): row, column and kind as one number."""
    owners: Indices
    """(corners,): the number of the component."""

    def only(self, chosen: np.ndarray) -> "Corners":
        """Those that a mask or indices choose."""
        return Corners(self.places[chosen], self.owners[chosen])


def find_corners(cells: Cells, row: int, of_run: Indices) -> Corners:
    """All corners on the upper edges of the new rows of some cells.

    Args:
        cells: Rows and the one above them.
        row: The number of the first new row in the raster.
        of_run: The component of every run.
    """
    stride, labels = cells.stride, cells.labels
    is_beside = cells.is_start[:-stride] | cells.is_start[stride:]
    is_beside &= cells.is_edge | _one_before(cells.is_edge)
    ne = np.flatnonzero(is_beside)
    nw, se, sw = ne - 1, ne + stride, ne + stride - 1
    # Which of the four lines that meet there are edges.
    north, south = labels[nw] != labels[ne], labels[sw] != labels[se]
    west, east = labels[nw] != labels[sw], labels[ne] != labels[se]
    turns = {
        NW: (north & west, nw),
        SE: (south & east, se),
        NE: (north & east, ne),
        SW: (south & west, sw),
        NO_SW: (~(north | east), ne),
        NO_NE: (~(south | west), nw),
        NO_NW: (~(south | east), se),
        NO_SE: (~(north | west), nw),
    }
    places, owners = [], []
    for kind, (is_turn, pixel) in turns.items():
        found = np.flatnonzero(is_turn & (labels[pixel] != NOTHING))
        places.append((row * stride + ne[found]) * KINDS + kind)
        owners.append(of_run[cells.run_of[pixel[found]]])
    return Corners(np.concatenate(places), np.concatenate(owners))


def joined(parts: list[Corners]) -> Corners:
    """Corners of several finds together."""
    return Corners(
        np.concatenate([of.places for of in parts]), np.concatenate([of.owners for of in parts])
    )


def _one_before(values: np.ndarray) -> np.ndarray:
    """What is found one cell to the left."""
    moved = np.zeros_like(values)
    moved[1:] = values[:-1]
    return moved
