"""What every raster offers, whether its pixels lie in a file or in memory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC

from glnet.errors import GeometryError
from glnet.geometry import Size, Window

Pixels = NDArray[Any]
"""Pixels of any number type, (bands, height, width)."""

Valid = NDArray[np.bool_]
"""Where there is a measurement, (height, width)."""


AREA_OR_POINT, POINT = "AREA_OR_POINT", "Point"
"""GDAL's metadata item of what a pixel is, and its value other than the usual area."""


class Masked(NamedTuple):
    """Pixels, and which of them are measurements.

    Attributes:
        pixels: (bands, height, width); of any value where there is no measurement.
        valid: (height, width); None where all are measurements.
    """

    pixels: Pixels
    valid: Valid | None


@dataclass(frozen=True)
class Georeference:
    """Where a raster lies on Earth, as far as its file says; what a result must carry over."""

    crs: CRS | None = None
    transform: Affine | None = None
    """From (column, row) of a pixel's upper left corner to coordinates of ``crs``."""
    gcps: tuple[GroundControlPoint, ...] = ()
    gcps_crs: CRS | None = None
    rpcs: RPC | None = field(default=None, hash=False)
    """The sensor's polynomials, of scenes that are not rectified yet."""
    is_point: bool = False
    """Whether pixels are samples at their middles, not means of their areas; ``transform`` is of
    corners all the same."""
    mpp: float | None = None
    """Micrometres per pixel of a slide, which lies nowhere on Earth."""

    @classmethod
    def north_up(cls, epsg: int, left: float, top: float, pixel: float) -> "Georeference":
        """Square pixels of a side ``pixel`` in the units of a CRS, from an upper left corner."""
        return cls(CRS.from_epsg(epsg), Affine(pixel, 0.0, left, 0.0, -pixel, top))


class Raster(Protocol):
    """A picture of any size whose pixels are read window by window."""

    @property
    def name(self) -> str:
        """What to call it in messages: the path, for a file."""
        ...

    @property
    def size(self) -> Size:
        """Height and width in pixels, as displayed."""
        ...

    @property
    def bands(self) -> int:
        """The number of bands, masks and transparency not counted."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number type of the pixels."""
        ...

    @property
    def georeference(self) -> Georeference:
        """Where it lies on Earth."""
        ...

    @property
    def nodata(self) -> float | None:
        """The value that says "no measurement here", if there is one."""
        ...

    @property
    def has_mask(self) -> bool:
        """Whether some pixels may be no measurements: where not, `Masked.valid` is None always."""
        ...

    def read(self, window: Window) -> Pixels:
        """The pixels of a window, (bands, height, width), in the raster's number type.

        Raises:
            GeometryError: If the window is not inside the raster.
            RasterError: If the pixels cannot be read.
        """
        ...

    def read_masked(self, window: Window) -> Masked:
        """The same, and which of them are measurements.

        A pixel is none where the file's mask or transparency leaves it out, or all of its bands
        are the nodata value or no number that float32 can hold. Where only some of its bands are
        nodata, floats are NaN there; of integers, `glnet.raster.measured` has the rule.

        Raises:
            GeometryError: If the window is not inside the raster.
            RasterError: If the pixels cannot be read.
        """
        ...


@runtime_checkable
class Blocked(Protocol):
    """A raster that knows which of its pixels are decoded together."""

    @property
    def block(self) -> Size:
        """The height and width of what is decoded together."""
        ...


def masked(pixels: Pixels, nodata: Sequence[float | None], valid: Valid | None = None) -> Masked:
    """Pixels with what their values say of being measurements.

    Args:
        pixels: (bands, height, width); floats that are nodata become NaN in place.
        nodata: The value of every band that says "no measurement here".
        valid: What is known of it otherwise.
    """
    known: list[Valid] = [] if valid is None else [valid]
    if pixels.dtype.kind == "f" or any(value is not None for value in nodata):
        known.append(
            np.logical_or.reduce(
                [_is_measured(band, value) for band, value in zip(pixels, nodata, strict=True)]
            )
        )
    everywhere = np.logical_and.reduce(known) if known else None
    return Masked(pixels, None if everywhere is None or everywhere.all() else everywhere)


def _is_measured(band: NDArray[Any], nodata: float | None) -> Valid:
    found: Valid = np.ones(band.shape, np.bool_)
    if band.dtype.kind == "f":
        # The network computes in float32: what is infinite there says nothing.
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.isfinite(band.astype(np.float32, copy=False))
    if nodata is not None and has_value(band.dtype, nodata):
        is_nodata = band == band.dtype.type(nodata)
        if band.dtype.kind == "f":
            # Of one band alone, or else a number such as -9999 would count in every mean.
            band[is_nodata] = np.nan
        found &= ~is_nodata
    return found


def has_value(dtype: np.dtype[Any], value: float) -> bool:
    """Whether pixels of a type can equal a value: one that they cannot have matches none."""
    if dtype.kind == "f":
        return not math.isnan(value)
    limits = np.iinfo(dtype)
    return math.isfinite(value) and value == int(value) and limits.min <= value <= limits.max


def whole(raster: Raster) -> Window:
    """The window that covers a raster."""
    return Window(0, 0, raster.size)


def require_inside(window: Window, raster: Raster) -> None:
    """Refuse a window that hangs over the edge of a raster.

    Raises:
        GeometryError: If it does.
    """
    if not window.is_inside(raster.size):
        raise GeometryError(
            f"a window must lie inside {raster.name} ({raster.size}), got rows "
            f"{window.row}..{window.row_stop} and columns {window.column}..{window.column_stop}"
        )
