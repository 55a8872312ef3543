"""From corners to rings: the outlines of components, in the order in which one walks them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glnet.vector.cells import Indices
from glnet.vector.corners import COMING, EAST, GOING, KINDS, NORTH, SOUTH, WEST, Corners

Numbers = NDArray[np.signedinteger[Any]]
"""Of corners, in 32 bits where these suffice: half of what tracing takes of memory is numbers."""

LARGE = 2**31
"""From so many corners on, their numbers take 64 bits."""


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
    vertices, kinds, owners = _sorted(corners)
    # Two corners of one component at one place: pixels that meet there and are connected elsewhere.
    # Turned around their own pixels, both would lie on one ring that touches itself. Each is turned
    # around the pixel between instead, which is the kind four further on.
    meets = (vertices[1:] == vertices[:-1]) & (owners[1:] == owners[:-1])
    kinds[1:][meets] += 4
    kinds[:-1][meets] += 4
    walk, starts = _walks(_corner_before(vertices, kinds, stride))
    del kinds
    ring_owners = owners[walk[starts[:-1]]]
    # Rings lie in the order of their uppermost corners: of each component, the outer one is first.
    by_owner = np.argsort(ring_owners, kind="stable")
    lengths = np.diff(starts)[by_owner]
    rings = np.concatenate([[0], np.cumsum(lengths + 1)])
    ends = rings[1:] - 1
    take = np.repeat((starts[:-1][by_owner] - rings[:-1]).astype(walk.dtype), lengths + 1)
    take += np.arange(rings[-1], dtype=walk.dtype)
    take[ends] = starts[:-1][by_owner]
    walked = vertices[walk[take]]
    del take, walk, vertices, owners
    points = np.empty((len(walked), 2))
    points[:, 0], points[:, 1] = walked % stride, walked // stride
    return Rings(points, rings, np.concatenate([[0], np.cumsum(np.bincount(ring_owners))]))


def _sorted(corners: Corners) -> tuple[Indices, NDArray[np.int8], Numbers]:
    """Vertices, kinds and owners in the order of the places."""
    order = np.argsort(corners.places)
    places = corners.places[order]
    owners = corners.owners.astype(_numbers_for(len(order)))[order]
    return places // KINDS, (places % KINDS).astype(np.int8), owners


def _numbers_for(corners: int) -> type[np.signedinteger[Any]]:
    return np.int32 if corners < LARGE else np.int64


def _corner_before(vertices: Indices, kinds: NDArray[np.int8], stride: int) -> Numbers:
    """The corner from which an outline comes to each corner; they are sorted by row and column.

    Edges in one direction on one line never overlap. So in the order of the line, the first that
    begins is the first that ends.
    """
    coming, going = COMING[kinds], GOING[kinds]
    before: Numbers = np.empty(len(vertices), dtype=_numbers_for(len(vertices)))
    for direction in (EAST, WEST):
        before[coming == direction] = np.flatnonzero(going == direction)
    by_column = np.argsort(vertices % stride, kind="stable").astype(before.dtype)
    coming, going = coming[by_column], going[by_column]
    for direction in (NORTH, SOUTH):
        before[by_column[coming == direction]] = by_column[going == direction]
    return before


def _walks(onwards: Numbers) -> tuple[Numbers, Indices]:
    """The cycles of a permutation: its elements cycle by cycle, and where each begins.

    A cycle begins with its smallest element; cycles are in the order of these. Every round looks
    twice as far ahead as the one before, for all elements at once.
    """
    first, ahead = np.arange(len(onwards), dtype=onwards.dtype), onwards
    while not np.array_equal(nearer := np.minimum(first, first[ahead]), first):
        first, ahead = nearer, ahead[ahead]
    is_first = first == np.arange(len(onwards), dtype=onwards.dtype)
    steps = (~is_first).astype(onwards.dtype)
    ahead = np.where(is_first, first, onwards)
    while not np.array_equal(ahead, first):
        steps, ahead = steps + steps[ahead], ahead[ahead]
    lengths = np.bincount(first, minlength=len(onwards))[is_first]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    del ahead
    rank = (np.cumsum(is_first, dtype=onwards.dtype) - 1)[first]
    # From the first, those behind it are the farthest from it.
    place = lengths.astype(onwards.dtype)[rank] - steps
    place[is_first] = 0
    place += starts.astype(onwards.dtype)[rank]
    walk = np.empty(len(onwards), dtype=onwards.dtype)
    walk[place] = np.arange(len(onwards), dtype=onwards.dtype)
    return walk, starts
