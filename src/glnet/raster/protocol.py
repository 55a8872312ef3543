"""What every raster offers, whether its pixels lie in a file or in memory."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from glnet.errors import GeometryError
from glnet.geometry import Size, Window

Pixels = NDArray[Any]
"""Pixels of any number type, (bands, height, width)."""


@dataclass(frozen=True)
class Georeference:
    """Where a raster lies on Earth, as far as its file says; what a result must carry over."""

    crs: CRS | None = None
    transform: Affine | None = None
    """From (column, row) of a pixel's upper left corner to coordinates of ``crs``."""
    gcps: tuple[GroundControlPoint, ...] = ()
    gcps_crs: CRS | None = None

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

    def read(self, window: Window) -> Pixels:
        """The pixels of a window, (bands, height, width), in the raster's number type.

        Raises:
            GeometryError: If the window is not inside the raster.
            RasterError: If the pixels cannot be read.
        """
        ...


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
