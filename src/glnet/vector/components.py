"""From rows of labels to components that have ended, each with all its corners."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glnet.vector.cells import Indices, empty_row, lay_out
from glnet.vector.corners import Corners, find_corners
from glnet.vector.linking import going_on, link, none_open
from glnet.vector.waiting import WaitingCorners


class Components(NamedTuple):
    """Whole components, in any order."""

    corners: Corners
    """All their corners; owners count from 0."""
    classes: Indices
    """(components,): their labels."""
    areas: Indices
    """(components,): how many pixels each has."""


class ComponentFinder:
    """Takes a label map from the top down and gives out components once they have ended.

    Args:
        width: Of the label map.
        nodata: The label that belongs to no component.
        waiting: Holds the corners of those that have not ended.
    """

    def __init__(self, width: int, nodata: int | None, waiting: WaitingCorners) -> None:
        self._width = width
        self._nodata = nodata
        self._waiting = waiting
        self._open = none_open()
        self._last = empty_row(width)
        self._row = 0

    def add(self, rows: NDArray[np.uint8]) -> Iterator[Components]:
        """Take the next rows, (rows, width); the components that ended above the last of them.

        They come some at a time, and are to be taken before the next rows are added.

        Meanwhile it takes 12 bytes per label, and up to 250 where every pixel is a component.

        Raises:
            OSError: If the scratch file cannot be written or read.
        """
        return self._take(rows, self._nodata)

    def finish(self) -> Iterator[Components]:
        """The components that touch the last row, some at a time.

        Raises:
            OSError: If the scratch file cannot be read.
        """
        return self._take(np.zeros((1, self._width), dtype=np.uint8), nodata=0)

    def _take(self, rows: NDArray[np.uint8], nodata: int | None) -> Iterator[Components]:
        cells = lay_out(self._last, rows, nodata)
        links = link(cells, self._open)
        corners = find_corners(cells, self._row, links.of_run)
        ended = self._waiting.exchange(corners, links.of_open, links.is_open)
        self._open = going_on(cells, links)
        self._last = cells.labels[cells.last_row].copy()
        self._row += len(rows)
        return (_components(of, links.classes, links.areas) for of in ended)


def _components(whole: Corners, classes: Indices, areas: Indices) -> Components:
    """Those whose corners are given, numbered from 0 on."""
    numbers, owners = np.unique(whole.owners, return_inverse=True)
    return Components(Corners(whole.places, owners), classes[numbers], areas[numbers])


def together(parts: list[Components]) -> Components:
    """Several finds as one."""
    counts = [len(of.classes) for of in parts]
    before = np.cumsum([0, *counts[:-1]])
    owners = [of.corners.owners + shift for of, shift in zip(parts, before, strict=True)]
    return Components(
        Corners(np.concatenate([of.corners.places for of in parts]), np.concatenate(owners)),
        np.concatenate([of.classes for of in parts]),
        np.concatenate([of.areas for of in parts]),
    )


def in_parts(whole: Components, corners: int) -> Iterator[Components]:
    """The same components, some at a time.

    Args:
        whole: What is parted; components stay in their order.
        corners: How many a part has, about: none is parted from its own, so that a part has up to
            that many more than its last component.
    """
    counts = np.bincount(whole.corners.owners, minlength=len(whole.classes))
    part_of = (np.cumsum(counts) - 1) // corners
    for part in np.unique(part_of):
        is_in = part_of == part
        number = np.cumsum(is_in) - 1
        found = whole.corners.only(is_in[whole.corners.owners])
        yield Components(
            Corners(found.places, number[found.owners]), whole.classes[is_in], whole.areas[is_in]
        )
