"""From label maps to polygons. Importing this folder needs nothing; writing needs an extra."""

from glnet.vector.attributes import Flavor
from glnet.vector.boxes import boxes_as_geojson, check_boxes, write_boxes
from glnet.vector.writer import PIXELS_AT_ONCE, VECTOR_SUFFIXES, PolygonWriter

__all__ = [
    "PolygonWriter",
    "PIXELS_AT_ONCE",
    "Flavor",
    "VECTOR_SUFFIXES",
    "boxes_as_geojson",
    "check_boxes",
    "write_boxes",
]
