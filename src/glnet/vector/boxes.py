"""Boxes of a raster as GeoJSON: a few rectangles, which any map shows."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from glnet.geometry import Size, Window
from glnet.raster.protocol import Georeference
from glnet.raster.writing.output import partial_file, publish, write_error
from glnet.vector.placement import EDGE_PIXELS, Placement, Points, in_degrees, in_pixels


def boxes_as_geojson(
    boxes: Sequence[Window], georeference: Georeference, *, scale: float | None = None
) -> str:
    """Windows of a raster as polygons.

    They are in longitude and latitude where these are known; else in pixels from the upper left
    corner, rows downwards. Properties are the windows themselves: row, column, height, width.

    Args:
        boxes: In the raster's pixels.
        georeference: Where the raster lies on Earth.
        scale: Of a slide, its own pixels per pixel of the raster; coordinates are then those.

    Raises:
        OutputError: If a corner has no longitude and latitude.
    """
    placement = _placement(georeference, scale)
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
    return json.dumps(collection) + "\n"


def check_boxes(size: Size, georeference: Georeference, *, scale: float | None = None) -> None:
    """Find out before the boxes are known whether they can be placed: by the raster's middle.

    Raises:
        OutputError: If it has no longitude and latitude.
    """
    middle = np.array([[size.width / 2, size.height / 2]])
    _placement(georeference, scale).place(middle)


def write_boxes(path: Path, collection: str, *, overwrite: bool = False) -> None:
    """Write what `boxes_as_geojson` made; the file appears when it is whole.

    Args:
        path: Where to, absolute; ends in ".geojson".
        collection: All of it.
        overwrite: Whether a file that is there already is replaced.

    Raises:
        OutputError: If it cannot be written there.
    """
    with partial_file(path) as partial:
        try:
            partial.write_text(collection, encoding="utf-8")
        except OSError as error:
            raise write_error(path, error.strerror or str(error)) from error
        publish(partial, path, overwrite)


def _placement(georeference: Georeference, scale: float | None) -> Placement:
    return in_degrees(georeference) if scale is None else in_pixels(scale)


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
