"""How bands of any number type become brightness, the same in every tile."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glnet.geometry import Size, Window
from glnet.raster import Masked, Raster
from glnet.raster.measured import with_gaps
from glnet.raster.overlay import STRETCH_PERCENTILES
from glnet.viewing.pyramid import Pyramid

SAMPLE_SIDE = 128
SAMPLES_ALONG = 5
"""What is looked at: so many squares along each side, spread evenly."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Stretch:
    """What becomes black and white, band by band; nothing of 8-bit pictures, shown as they are.

    Attributes:
        limits: The value of black and of white of each band that is shown.
    """

    limits: tuple[tuple[float, float], ...] | None = None

    def shown(self, pixels: NDArray[Any]) -> Bytes:
        """The brightness of bands, (height, width, 3): of the first as grey, or of three."""
        bands = pixels[:3] if len(pixels) > 2 else pixels[[0, 0, 0]]
        if self.limits is not None:
            limits = self.limits if len(self.limits) > 1 else self.limits * 3
            pairs = zip(bands, limits, strict=True)
            bands = np.stack([_between(band, *pair) for band, pair in pairs])
        return np.ascontiguousarray(np.moveaxis(bands, 0, 2))

    @property
    def words(self) -> str | None:
        """What the page says of it."""
        if self.limits is None:
            return None
        low, high = STRETCH_PERCENTILES
        ranges = ", ".join(f"{black:.4g} to {white:.4g}" for black, white in self.limits)
        return f"shown from {ranges}: percentiles {low} and {high} of a sample"


def stretch_of(pyramid: Pyramid, raster: Raster) -> Stretch:
    """The stretch of a raster, from a small sample of what is measured of each band.

    Args:
        pyramid: Of the raster; its smaller copies may have another number type.
        raster: The raster itself.

    Raises:
        RasterError: If the sample cannot be read.
    """
    if raster.dtype == np.uint8:
        return Stretch()
    read = (pyramid.read(window) for window in sample_windows(pyramid.size))
    samples = [with_gaps(of, raster.nodata) for of in read]
    shown = range(3 if raster.bands > 2 else 1)
    return Stretch(tuple(_limits(samples, band) for band in shown))


def sample_windows(size: Size) -> list[Window]:
    """Some squares that are spread over a raster."""
    side = Size(min(SAMPLE_SIDE, size.height), min(SAMPLE_SIDE, size.width))
    rows = np.linspace(0, size.height - side.height, SAMPLES_ALONG).astype(int)
    columns = np.linspace(0, size.width - side.width, SAMPLES_ALONG).astype(int)
    places = {(int(row), int(column)) for row in rows for column in columns}
    return [Window(row, column, side) for row, column in sorted(places)]


def _limits(samples: list[Masked], band: int) -> tuple[float, float]:
    parts = [of.pixels[band] if of.valid is None else of.pixels[band][of.valid] for of in samples]
    values = np.concatenate([part.ravel() for part in parts]).astype(np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = np.percentile(values, STRETCH_PERCENTILES)
    return float(low), float(high)


def _between(band: NDArray[Any], black: float, white: float) -> Bytes:
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.nan_to_num(band.astype(np.float32), nan=black, posinf=white, neginf=black)
        scaled = (values - black) / max(white - black, float(np.finfo(np.float32).tiny))
    shown: Bytes = np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return shown
