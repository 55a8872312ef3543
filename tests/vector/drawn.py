"""Label maps for tests, their polygons, and what files hold of them."""

import json
import tempfile
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from pyogrio import raw

from glnet.geometry import Size
from glnet.vector import PolygonWriter
from glnet.vector.components import ComponentFinder, Components, together
from glnet.vector.features import Features, features_of
from glnet.vector.placement import in_pixels
from glnet.vector.waiting import WaitingCorners

NODATA = 255

Labels = NDArray[np.uint8]

label_maps = st.one_of(
    [
        arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=14), elements=values)
        for values in map(st.sampled_from, ([0, 1], [0, 1, 2], [0, 3, NODATA]))
    ]
)
"""Few classes, so that components meet at corners, and lie in each other."""

heights = st.lists(st.integers(1, 6), min_size=1, max_size=4)


class Found(NamedTuple):
    """A file of polygons, read back."""

    polygons: NDArray[np.object_]
    fields: dict[str, list[Any]]
    crs: str | None


AT_ONCE = 50
"""Corners that are read back at once: few, so that there are several parts."""


def components_of(
    labels: Labels, heights: list[int], most: int = 1000, nodata: int | None = NODATA
) -> Components:
    """Components of a map that comes in parts of some heights, again and again."""
    with (
        tempfile.TemporaryDirectory() as folder,
        WaitingCorners(Path(folder), most, AT_ONCE) as waiting,
    ):
        finder = ComponentFinder(labels.shape[1], nodata, waiting)
        parts, row = list[Components](), 0
        for height in cycle(heights):
            parts.extend(finder.add(labels[row : row + height]))
            row += height
            if row >= len(labels):
                return together([*parts, *finder.finish()])
    raise AssertionError


def polygons_of(labels: Labels, heights: list[int], most: int = 1000) -> Features:
    """Polygons in pixels."""
    components = components_of(labels, heights, most)
    return features_of(components, labels.shape[1] + 1, in_pixels(), None)


def as_set(polygons: NDArray[np.object_], classes: Any) -> list[tuple[int, str]]:  # noqa: ANN401
    """Polygons and classes in an order of their own, wherever their rings begin."""
    texts = shapely.to_wkt(shapely.normalize(polygons), rounding_precision=6)
    return sorted(zip(map(int, classes), texts, strict=True))


def drawn_by_gdal(labels: Labels, **options: Any) -> tuple[NDArray[np.object_], list[int]]:  # noqa: ANN401
    """The polygons that GDAL finds, which holds the whole map."""
    found = list(rasterio.features.shapes(labels, mask=labels != NODATA, connectivity=4, **options))
    polygons = np.array([shapely.geometry.shape(of) for of, _ in found], dtype=np.object_)
    return polygons, [int(label) for _, label in found]


def rasterized(
    polygons: NDArray[np.object_],
    classes: Any,  # noqa: ANN401
    labels: Labels,
    transform: Affine | None = None,
) -> Labels:
    """The label map that polygons describe."""
    shapes = [(of, int(label)) for of, label in zip(polygons, classes, strict=True)]
    if not shapes:
        return np.full_like(labels, NODATA)
    return np.asarray(
        rasterio.features.rasterize(
            shapes,
            labels.shape,
            fill=NODATA,
            dtype="uint8",
            transform=transform or Affine.identity(),
        )
    )


def write_all(path: Path, labels: Labels, rows: int = 7, **options: Any) -> None:  # noqa: ANN401
    """A label map to a file of polygons, part by part."""
    with PolygonWriter(path, Size(*labels.shape), **options) as writer:
        for row in range(0, len(labels), rows):
            writer.write(labels[row : row + rows])


def read_package(path: Path) -> Found:
    """All that a GeoPackage holds."""
    meta, _, geometry, columns = raw.read(path, layer="polygons")
    fields = {name: of.tolist() for name, of in zip(meta["fields"], columns, strict=True)}
    return Found(shapely.from_wkb(geometry), fields, meta["crs"])


def read_geojson(path: Path) -> Found:
    """All that a GeoJSON file holds; by the standard, its CRS is not written down."""
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["type"] == "FeatureCollection"
    features = content["features"]
    polygons = [shapely.geometry.shape(of["geometry"]) for of in features]
    names = features[0]["properties"] if features else []
    fields = {name: [of["properties"][name] for of in features] for name in names}
    return Found(np.array(polygons, dtype=np.object_), fields, None)


def speckled(height: int, width: int, classes: int = 3) -> Labels:
    """Areas with holes and single pixels."""
    drawing = np.random.default_rng(height)
    cells = drawing.integers(0, classes, (height // 8 + 1, width // 8 + 1), dtype=np.uint8)
    labels = np.kron(cells, np.ones((8, 8), np.uint8))[:height, :width].copy()
    is_speckle = drawing.random(labels.shape) < 0.1
    labels[is_speckle] = drawing.integers(0, classes, np.count_nonzero(is_speckle))
    return labels
