"""From corners to rings: the outlines of components, in the order in which one walks them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glnet.vector.cells import Indices
from glnet.vector.corners import COMING, EAST, GOING, KINDS, NORTH, SOUTH, WEST, Corners


class Rings(NamedTuple):
    """Closed rings of polygons without any point that is not a corner."""

    points: NDArray[np.float64]
    """(points, 2): (column, row), whole numbers; the first of a ring is repeated as its last.

    Taken as (x, y), outer rings go counterclockwise and holes clockwise.
    """
    rings: Indices
    """(rings + 1,): where each ring begins in ``points``."""
    polygons: Indices
    """(polygons + 1,): where each polygon begins in ``rings``; its outer ring is the first."""

    def turned(self) -> "Rings":
        """The same rings the other way around, from the same points on."""
        first, lengths = self.rings[:-1], np.diff(self.rings)
        take = np.repeat(first + self.rings[1:] - 1, lengths) - np.arange(len(self.points))
        return self._replace(points=self.points[take])

    def divided(self, most: float) -> "Rings":
        """The same rings with points between, so that no edge spans more rows or columns."""
        steps = np.diff(self.points, axis=0, append=self.points[-1:])
        parts = np.maximum(1, np.ceil(np.abs(steps).max(axis=1) / most)).astype(np.int64)
        parts[self.rings[1:] - 1] = 1  # The last point of a ring has none behind it.
        before = np.concatenate([[0], np.cumsum(parts)])
        share = (np.arange(before[-1]) - np.repeat(before[:-1], parts)) / np.repeat(parts, parts)
        points = np.repeat(self.points, parts, axis=0)
        points += share[:, np.newaxis] * np.repeat(steps, parts, axis=0)
        return self._replace(points=points, rings=before[self.rings])


def trace(corners: Corners, stride: int) -> Rings:
    """The rings of whole components; polygons are in the order of their numbers.

    No ring touches itself: where pixels of a component meet only at a corner, two rings touch.
    Rings begin at their uppermost corner, of those at the leftmost, so they do not depend on the
    order of the corners.

    Args:
        corners: All corners of the components 0, 1, ...
        stride: One more than the raster's width.
    """
    order = np.argsort(corners.places)
    places, owners = corners.places[order], corners.owners[order]
    vertices, kinds = places // KINDS, places % KINDS
    # Two corners of one component at one place: pixels that meet there and are connected elsewhere.
    # Turned around their own pixels, both would lie on one ring that touches itself. Each is turned
    # around the pixel between instead, which is the kind four further on.
    meets = (vertices[1:] == vertices[:-1]) & (owners[1:] == owners[:-1])
    kinds[1:][meets] += 4
    kinds[:-1][meets] += 4
    before = _corner_before(vertices, kinds, stride)
    walk, starts = _walks(before)
    ring_owners = owners[walk[starts[:-1]]]
    # Rings lie in the order of their uppermost corners: of each component, the outer one is first.
    by_owner = np.argsort(ring_owners, kind="stable")
    lengths = np.diff(starts)[by_owner]
    rings = np.concatenate([[0], np.cumsum(lengths + 1)])
    ends = rings[1:] - 1
    take = np.arange(rings[-1]) + np.repeat(starts[:-1][by_owner] - rings[:-1], lengths + 1)
    take[ends] = starts[:-1][by_owner]
    rows, columns = np.divmod(vertices[walk[take]], stride)
    counts = np.bincount(ring_owners)
    points = np.stack([columns, rows], axis=1, dtype=np.float64)
    return Rings(points, rings, np.concatenate([[0], np.cumsum(counts)]))


def _corner_before(vertices: Indices, kinds: Indices, stride: int) -> Indices:
    """The corner from which an outline comes to each corner; they are sorted by row and column.

    Edges in one direction on one line never overlap. So in the order of the line, the first that
    begins is the first that ends.
    """
    coming, going = COMING[kinds], GOING[kinds]
    before = np.empty(len(vertices), dtype=np.int64)
    for direction in (EAST, WEST):
        before[coming == direction] = np.flatnonzero(going == direction)
    by_column = np.argsort(vertices % stride, kind="stable")
    coming, going = coming[by_column], going[by_column]
    for direction in (NORTH, SOUTH):
        before[by_column[coming == direction]] = by_column[going == direction]
    return before


def _walks(onwards: Indices) -> tuple[Indices, Indices]:
    """The cycles of a permutation: its elements cycle by cycle, and where each begins.

    A cycle begins with its smallest element; cycles are in the order of these. Every round looks
    twice as far ahead as the one before, for all elements at once.
    """
    first, ahead = np.arange(len(onwards)), onwards
    while not np.array_equal(nearer := np.minimum(first, first[ahead]), first):
        first, ahead = nearer, ahead[ahead]
    is_first = first == np.arange(len(onwards))
    steps = np.where(is_first, 0, 1)
    ahead = np.where(is_first, first, onwards)
    while not np.array_equal(ahead, first):
        steps, ahead = steps + steps[ahead], ahead[ahead]
    lengths = np.bincount(first, minlength=len(onwards))[is_first]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rank = np.cumsum(is_first) - 1
    # From the first, those behind it are the farthest from it.
    place = np.where(is_first, 0, lengths[rank[first]] - steps)
    walk = np.empty(len(onwards), dtype=np.int64)
    walk[starts[rank[first]] + place] = np.arange(len(onwards))
    return walk, starts
