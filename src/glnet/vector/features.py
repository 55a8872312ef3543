"""From components to polygons with their class and area. Needs shapely."""

from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from glnet.vector.cells import Indices
from glnet.vector.components import Components
from glnet.vector.placement import EDGE_PIXELS, Placement
from glnet.vector.tracing import Rings, trace

Polygons = NDArray[np.object_]


class Features(NamedTuple):
    """Polygons, as they lie in a file."""

    polygons: Polygons
    """(features,) shapely polygons; outer rings counterclockwise."""
    classes: Indices
    """(features,): their labels."""
    areas: Indices
    """(features,): their areas in pixels, before anything was simplified."""


def features_of(
    components: Components, stride: int, placement: Placement, simplify: float | None
) -> Features:
    """Draw the outlines of components and put them in their place.

    Args:
        components: What is drawn.
        stride: One more than the raster's width.
        placement: Where pixel corners lie.
        simplify: How far an outline may stray, in pixels; None keeps every corner. Polygons are
            simplified one by one, so neighbours no longer share their borders. Where a simplified
            polygon would not be valid, the exact one stays.

    Raises:
        OutputError: If a point has no longitude and latitude.
    """
    rings = trace(components.corners, stride)
    if placement.is_mirrored:
        rings = rings.turned()
    polygons = _placed(rings, placement)
    if simplify is not None:
        simple = _placed(_simplified(rings, simplify), placement)
        is_fine = shapely.is_valid(simple) & ~shapely.is_empty(simple)
        polygons = np.where(is_fine, simple, polygons)
    return Features(polygons, components.classes, components.areas)


def _simplified(rings: Rings, distance: float) -> Rings:
    _, points, (starts, polygons) = shapely.to_ragged_array(
        shapely.simplify(_drawn(rings), distance)
    )
    return Rings(points, starts, polygons)


def _placed(rings: Rings, placement: Placement) -> Polygons:
    if placement.source is not None:
        rings = rings.divided(EDGE_PIXELS)
    return _drawn(rings._replace(points=placement.place(rings.points)))


def _drawn(rings: Rings) -> Polygons:
    polygons: Polygons = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, rings.points, (rings.rings, rings.polygons)
    )
    return polygons
