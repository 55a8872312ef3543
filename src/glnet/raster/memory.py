"""A raster whose pixels already lie in memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster.protocol import (
    Georeference,
    Masked,
    Pixels,
    Valid,
    masked,
    require_inside,
)


class ArrayRaster:
    """A picture given as an array, for those who have opened it themselves.

    Args:
        array: (height, width) or (height, width, bands); kept, not copied. Booleans read as 0, 1.
        name: What to call it in messages.
        georeference: Where it lies on Earth.
        nodata: The value that says "no measurement here".
        valid: Where there is a measurement, (height, width); everywhere by default.

    Raises:
        RasterError: If the array has other axes, no pixels, or is not of integers or floats, or
            ``valid`` has other rows and columns.
    """

    def __init__(
        self,
        array: NDArray[Any],
        name: str = "array",
        georeference: Georeference | None = None,
        nodata: float | None = None,
        valid: Valid | None = None,
    ) -> None:
        self._pixels = _bands_first(array, name)
        self._name = name
        self._georeference = georeference or Georeference()
        self._nodata = nodata
        self._valid = valid
        if valid is not None and valid.shape != self._pixels.shape[1:]:
            raise RasterError(
                f"{name} has pixels {self._pixels.shape[1:]}, what is valid {valid.shape}; "
                "expected the same rows and columns"
            )

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self._name

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return Size(*self._pixels.shape[1:])

    @property
    def bands(self) -> int:
        """The number of bands."""
        return int(self._pixels.shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number type of the pixels."""
        return self._pixels.dtype

    @property
    def georeference(self) -> Georeference:
        """Where it lies on Earth."""
        return self._georeference

    @property
    def nodata(self) -> float | None:
        """The value that says "no measurement here", if there is one."""
        return self._nodata

    @property
    def has_mask(self) -> bool:
        """Whether some pixels may be no measurements."""
        return self._valid is not None or self._nodata is not None or self._pixels.dtype.kind == "f"

    def read_masked(self, window: Window) -> Masked:
        """A copy of the pixels of a window, and which of them are measurements.

        Raises:
            GeometryError: If the window is not inside the raster.
        """
        valid = None if self._valid is None else self._valid[window.slices].copy()
        return masked(self.read(window), [self._nodata] * self.bands, valid)

    def read(self, window: Window) -> Pixels:
        """A copy of the pixels of a window, (bands, height, width).

        Raises:
            GeometryError: If the window is not inside the raster.
        """
        require_inside(window, self)
        return self._pixels[:, *window.slices].copy()


def _bands_first(array: NDArray[Any], name: str) -> Pixels:
    if array.ndim not in {2, 3} or 0 in array.shape:
        raise RasterError(
            f"{name} must be (height, width) or (height, width, bands) with at least one pixel, "
            f"got shape {array.shape}"
        )
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    if array.dtype.kind not in "uif":
        raise RasterError(f"{name} must be of integers or floats, got {array.dtype}")
    return array[np.newaxis] if array.ndim == 2 else np.moveaxis(array, 2, 0)
