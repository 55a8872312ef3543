"""Polygons as a GeoPackage, appended batch by batch. Needs shapely and pyogrio."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from pyogrio import errors
from pyogrio.raw import write
from rasterio.crs import CRS

from glnet.vector.attributes import Legend
from glnet.vector.features import Features, Polygons

LAYER = "polygons"
"""The only layer of a written file."""

FIELDS = ["class", "name", "color", "area"]

NOWHERE = 'LOCAL_CS["Undefined Cartesian SRS"]'
"""The standard's own name for coordinates that lie nowhere on Earth."""

PYOGRIO_ERRORS = (
    errors.DataSourceError,
    errors.DataLayerError,  # with CRSError, FeatureError and GeometryError
    errors.FieldError,
)


class GeoPackageFile:
    """A GeoPackage with one layer and its spatial index.

    Args:
        path: A file that is not there yet; it must end in ".gpkg".
        legend: Names and colours of the classes.
        crs: That of the coordinates; None if they have none.

    Raises:
        OSError: If the file cannot be made; from all methods, if it cannot be written.
    """

    def __init__(self, path: Path, legend: Legend, crs: CRS | None) -> None:
        self._path = path
        self._legend = legend
        self._crs = NOWHERE if crs is None else crs.to_wkt()
        self._count = self._area = 0
        self._is_there = False
        nothing = np.empty(0, dtype=np.int64)
        self.append(Features(np.empty(0, dtype=np.object_), nothing, nothing))

    def append(self, features: Features) -> None:
        """Write some more features."""
        labels = features.classes.tolist()
        columns: list[NDArray[np.generic]] = [
            features.classes.astype(np.int32),
            np.array([self._legend.name(label) for label in labels], dtype=np.object_),
            np.array([self._legend.hex_color(label) for label in labels], dtype=np.object_),
            features.areas,
        ]
        self._write(shapely.to_wkb(features.polygons), columns)
        self._count += len(labels)
        self._area += int(features.areas.sum())

    def finish(self) -> None:
        """Check that the file holds what was written: GDAL does not always tell of a full disk."""
        found = f"SELECT count(*), coalesce(sum(area), 0) FROM {LAYER}"
        try:
            with closing(sqlite3.connect(self._path)) as file:
                (state,) = file.execute("PRAGMA quick_check(1)").fetchone()
                sums = file.execute(found).fetchone()
        except sqlite3.Error as error:
            raise OSError(f"the file cannot be read back: {error}") from error
        if state != "ok" or sums != (self._count, self._area):
            raise OSError("the file does not hold what was written to it")

    def close(self) -> None:
        """Nothing is open between calls."""

    def _write(self, polygons: Polygons, columns: list[NDArray[np.generic]]) -> None:
        try:
            write(
                self._path,
                polygons,
                columns,
                FIELDS,
                layer=LAYER,
                driver="GPKG",
                geometry_type="Polygon",
                crs=self._crs,
                append=self._is_there,
            )
        except PYOGRIO_ERRORS as error:
            raise OSError(" ".join(str(error).split())) from error
        self._is_there = True
