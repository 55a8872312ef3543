"""How much ground a pixel covers: square metres, row by row."""

import math
import re
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import WktVersion
from rasterio.errors import CRSError

from glnet.errors import GeometryError
from glnet.geometry import Size
from glnet.raster.protocol import Georeference

Values = NDArray[np.float64]

WEB_MERCATOR = 3857
"""The EPSG code of web maps, on whose plane an area at 60 degrees is four times too large."""

METRES_PER_MICROMETRE = 1e-6

ELLIPSOID_IN_WKT = re.compile(
    r'ELLIPSOID\["(?:[^"]|"")*",([^,\]]+),([^,\]]+)(?:,LENGTHUNIT\["[^"]*",([^,\]]+))?'
)
"""Semi-major axis, inverse flattening (0 of a sphere), metres per unit."""


class AreaBasis(StrEnum):
    """On what areas are measured."""

    ELLIPSOID = "on the ellipsoid"
    PLANE = "on the plane of the map"
    SLIDE = "on the slide"


class PixelAreas:
    """The areas of a raster's pixels in square metres.

    - Longitude and latitude: on the ellipsoid of the CRS; exact where rows run along parallels
      (north-up, south-up, sheared). Where they run across (rotated), every pixel of a row counts as
      one at the latitude of the row's middle.
    - Web Mercator: likewise, as its plane is far from true.
    - A slide that tells the micrometres per pixel: as these say.
    - Any other projection: on its plane, the same for all pixels. UTM's is true to 0.2 % inside its
      zone; how true another's is, the projection says.

    Nothing is known without a CRS, without a transform (ground control points), and of a CRS that
    is neither geographic nor projected.

    Args:
        georeference: Where the raster lies on Earth.
        size: Height and width of the raster.
    """

    def __init__(self, georeference: Georeference, size: Size) -> None:
        self._size = size
        self._surface = _surface(georeference)
        self._is_on_earth = georeference.transform is not None
        self._transform = georeference.transform or Affine.identity()

    @property
    def basis(self) -> AreaBasis | None:
        """On what areas are measured; None where none are known."""
        if self._surface is None:
            return None
        if isinstance(self._surface, _Plane):
            return AreaBasis.PLANE if self._is_on_earth else AreaBasis.SLIDE
        return AreaBasis.ELLIPSOID

    def row_areas(self, start: int, stop: int) -> Values | None:
        """The area of one pixel of each row in ``[start, stop)``, (rows,); None where unknown.

        Raises:
            GeometryError: If these are no rows of the raster.
        """
        if not 0 <= start <= stop <= self._size.height:
            raise GeometryError(
                f"rows must lie in 0..{self._size.height}, got {start}..{stop}; ask for rows inside"
            )
        if self._surface is None:
            return None
        lower, upper, width = self._cells(np.arange(start, stop, dtype=np.float64))
        return self._surface.areas(lower, upper, width)

    def _cells(self, rows: Values) -> tuple[Values, Values, float]:
        """Upright cells in map coordinates, as large as the pixels: two edges, and a width."""
        place = self._transform
        if place.d == 0:
            edge = place.f + place.e * rows
            return edge, edge + place.e, abs(place.a)
        middle = place.f + place.d * self._size.width / 2 + place.e * (rows + 0.5)
        side = math.sqrt(abs(place.determinant))
        return middle - side / 2, middle + side / 2, side


class _Plane(NamedTuple):
    """A map to be taken as the ground."""

    metres_per_unit: float

    def areas(self, lower: Values, upper: Values, width: float) -> Values:
        return np.abs(upper - lower) * width * self.metres_per_unit**2


class _Ellipsoid(NamedTuple):
    """Longitude and latitude; the axis is in metres, the eccentricity 0 of a sphere."""

    axis: float
    eccentricity: float
    radians_per_unit: float

    def areas(self, lower: Values, upper: Values, width: float) -> Values:
        unit = self.radians_per_unit
        return self.cells(lower * unit, upper * unit, width * unit)

    def cells(self, lower: Values, upper: Values, width: float) -> Values:
        """Areas between two parallels and two meridians, all in radians.

        That is width * b^2 / 2 * (q(upper) - q(lower)) with q = s / (1 - e^2 s^2) + artanh(e s) / e
        and s the sine of the latitude, the difference written so that small cells keep digits.
        """
        lower, upper = (np.clip(edge, -math.pi / 2, math.pi / 2) for edge in (lower, upper))
        e, low, high = self.eccentricity, np.sin(lower), np.sin(upper)
        step = 2 * np.cos((lower + upper) / 2) * np.sin((upper - lower) / 2)
        rational = step * (1 + e**2 * low * high) / (1 - (e * low) ** 2) / (1 - (e * high) ** 2)
        through = step / (1 - e**2 * low * high)
        hyperbolic = np.arctanh(e * through) / e if e else through
        areas: Values = width * self.axis**2 * (1 - e**2) / 2 * np.abs(rational + hyperbolic)
        return areas


class _WebMercator(NamedTuple):
    """The sphere's Mercator map of an ellipsoid's latitudes."""

    ellipsoid: _Ellipsoid

    def areas(self, lower: Values, upper: Values, width: float) -> Values:
        radius = self.ellipsoid.axis
        low, high = (np.arctan(np.sinh(edge / radius)) for edge in (lower, upper))
        return self.ellipsoid.cells(low, high, width / radius)


def _surface(georeference: Georeference) -> _Plane | _Ellipsoid | _WebMercator | None:
    crs = georeference.crs
    if georeference.mpp is not None:
        return _Plane(georeference.mpp * METRES_PER_MICROMETRE)
    if not crs or georeference.transform is None or georeference.gcps:
        return None
    try:
        if crs.is_geographic:
            return _ellipsoid(crs, crs.units_factor[1])
        if crs.is_projected and crs.to_epsg() == WEB_MERCATOR:
            return _WebMercator(_ellipsoid(crs, 1.0))
        return _Plane(crs.linear_units_factor[1]) if crs.is_projected else None
    except CRSError:
        return None


def _ellipsoid(crs: CRS, radians_per_unit: float) -> _Ellipsoid:
    found = ELLIPSOID_IN_WKT.search(crs.to_wkt(version=WktVersion.WKT2_2019))
    if found is None:
        raise CRSError(f"{crs} names no ellipsoid")
    axis, inverse_flattening, metres = (float(part or 1) for part in found.groups())
    flattening = 1 / inverse_flattening if inverse_flattening else 0.0
    eccentricity = math.sqrt(flattening * (2 - flattening))
    return _Ellipsoid(axis * metres, eccentricity, radians_per_unit)
