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
    if simplify is None and placement.source is None:
        polygons = _drawn(rings._replace(points=placement.place(rings.points)))
    else:
        polygons = _changed(_drawn(rings), placement, simplify)
    return Features(polygons, components.classes, components.areas)


def _drawn(rings: Rings) -> Polygons:
    polygons: Polygons = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, rings.points, (rings.rings, rings.polygons)
    )
    return polygons


def _changed(exact: Polygons, placement: Placement, simplify: float | None) -> Polygons:
    """Polygons in pixels with other points, in their place."""
    if simplify is None:
        return _placed(exact, placement)
    polygons = _placed(shapely.simplify(exact, simplify), placement)
    is_broken = ~shapely.is_valid(polygons) | shapely.is_empty(polygons)
    polygons[is_broken] = _placed(exact[is_broken], placement)
    return polygons


def _placed(polygons: Polygons, placement: Placement) -> Polygons:
    if placement.source is not None:
        polygons = shapely.segmentize(polygons, EDGE_PIXELS)
    placed: Polygons = shapely.transform(polygons, placement.place)
    return placed
