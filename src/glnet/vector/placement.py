"""Where pixel corners lie in a file of polygons."""

from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.warp import transform as reprojected

from glnet.errors import OutputError
from glnet.raster.gdal import GDAL_ERRORS, reason
from glnet.raster.protocol import Georeference

WGS84 = CRS.from_epsg(4326)
"""Longitude and latitude: the only coordinates that RFC 7946 allows in GeoJSON."""

DEGREE_DIGITS = 9
"""Decimals that are kept of longitudes and latitudes: a tenth of a millimetre."""

EDGE_PIXELS = 64.0
"""Longer edges get points between, where coordinates are reprojected.

A straight edge of the raster is slightly bent in longitude and latitude. Over 64 pixels of up to a
kilometre it strays by less than a tenth of a pixel at the latitudes where people live; over a whole
scene it would stray by pixels, and cross a hole beside it.
"""

POINTS_AT_ONCE = 1 << 16
"""Reprojected together: they become Python's numbers on the way."""

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Placement:
    """How (column, row) of pixel corners become coordinates."""

    transform: Affine
    """From pixel corners to coordinates of the raster's CRS, or of whatever is wanted."""
    crs: CRS | None = None
    """That of the coordinates in the file; None for pixels and for maps of unknown places."""
    source: CRS | None = None
    """That from which coordinates are reprojected to ``crs``; None where they are not."""

    @property
    def is_mirrored(self) -> bool:
        """Whether what turns clockwise in pixels turns counterclockwise in the file."""
        return bool(self.transform.determinant < 0)

    def place(self, corners: Points) -> Points:
        """Coordinates (points, 2) of pixel corners (column, row).

        Raises:
            OutputError: If a point has no longitude and latitude.
        """
        if self.transform.is_identity:
            return corners
        factors = np.array(self.transform[:6]).reshape(2, 3)
        placed: Points = corners @ factors[:, :2].T + factors[:, 2]
        if self.source is not None:
            parts = range(0, len(placed), POINTS_AT_ONCE)
            for part in (placed[start : start + POINTS_AT_ONCE] for start in parts):
                part[:] = self._reprojected(part)
        return np.round(placed, DEGREE_DIGITS) if self.crs == WGS84 else placed

    def _reprojected(self, points: Points) -> Points:
        try:
            result = np.array(reprojected(self.source, self.crs, *points.T)).T
        except GDAL_ERRORS as error:
            raise _no_degrees(reason(error)) from error
        if not np.isfinite(result).all():
            raise _no_degrees("some of its points have none")
        return result


def in_map(georeference: Georeference) -> Placement:
    """In the raster's own coordinates; in pixels where it has none."""
    if georeference.transform is None:
        return in_pixels()
    return Placement(georeference.transform, georeference.crs)


def in_degrees(georeference: Georeference) -> Placement:
    """In longitude and latitude; in pixels where they are not known."""
    if georeference.transform is None or georeference.crs is None:
        return in_pixels()
    is_there = georeference.crs == WGS84
    return Placement(georeference.transform, WGS84, None if is_there else georeference.crs)


def in_pixels(scale: float = 1.0) -> Placement:
    """In pixels from the upper left corner, rows downwards, times a factor."""
    return Placement(Affine.scale(scale))


def _no_degrees(why: str) -> OutputError:
    return OutputError(
        f"the image cannot be placed in longitude and latitude, as GeoJSON wants it ({why}); "
        "write polygons as .gpkg, which keeps its coordinates, and no boxes, which are GeoJSON only"
    )
