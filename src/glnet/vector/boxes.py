"""Boxes of a raster as GeoJSON: a few rectangles, which any map shows."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from glnet.geometry import Window
from glnet.raster.protocol import Georeference
from glnet.raster.writing.output import partial_file, publish, write_error
from glnet.vector.placement import EDGE_PIXELS, Placement, Points, in_degrees, in_pixels


def write_boxes(
    path: Path,
    boxes: Sequence[Window],
    georeference: Georeference,
    *,
    scale: float | None = None,
    overwrite: bool = False,
) -> None:
    """Write windows of a raster as polygons; the file appears when it is whole.

    They are in longitude and latitude where these are known; else in pixels from the upper left
    corner, rows downwards. Properties are the windows themselves: row, column, height, width.

    Args:
        path: Where to, absolute; ends in ".geojson".
        boxes: In the raster's pixels.
        georeference: Where the raster lies on Earth.
        scale: Of a slide, its own pixels per pixel of the raster; coordinates are then those.
        overwrite: Whether a file that is there already is replaced.

    Raises:
        OutputError: If it cannot be written there, or a corner has no longitude and latitude.
    """
    placement = in_degrees(georeference) if scale is None else in_pixels(scale)
    collection: dict[str, object] = {"type": "FeatureCollection"}
    if placement.crs is None:
        collection["crs"] = None  # As readers of the older standard know "not on Earth".
    collection["features"] = [
        {
            "type": "Feature",
            "properties": {
                "row": box.row,
                "column": box.column,
                "height": box.size.height,
                "width": box.size.width,
            },
            "geometry": {"type": "Polygon", "coordinates": [_ring(box, placement).tolist()]},
        }
        for box in boxes
    ]
    with partial_file(path) as partial:
        try:
            partial.write_text(json.dumps(collection) + "\n", encoding="utf-8")
        except OSError as error:
            raise write_error(path, error.strerror or str(error)) from error
        publish(partial, path, overwrite)


def _ring(box: Window, placement: Placement) -> Points:
    """The outline, closed, counterclockwise in the file."""
    top, left, bottom, right = box.row, box.column, box.row_stop, box.column_stop
    # Clockwise on the screen.
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    is_bent = placement.source is not None
    points = np.array(list(_divided(corners) if is_bent else corners), dtype=np.float64)
    placed = placement.place(points)
    return placed[::-1] if placement.is_mirrored else placed


def _divided(corners: Sequence[tuple[int, int]]) -> Iterator[tuple[float, float]]:
    """The same way with points between, as straight edges are slightly bent on Earth."""
    for (x, y), (to_x, to_y) in itertools.pairwise(corners):
        steps = max(1, int(np.ceil(max(abs(to_x - x), abs(to_y - y)) / EDGE_PIXELS)))
        for step in range(steps):
            yield x + (to_x - x) * step / steps, y + (to_y - y) * step / steps
    yield corners[-1]
