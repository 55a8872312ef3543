"""Pictures of shapes and noise, from a seed."""

import numpy as np
from numpy.typing import NDArray

from glnet.raster import ArrayRaster


def picture(height: int, width: int, bands: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """(height, width, bands)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    waves = [
        np.sin(rows / rng.uniform(5, 40) + columns / rng.uniform(5, 40) + rng.uniform(0, 6))
        for _ in range(bands)
    ]
    noise = rng.normal(0, 20, (height, width, bands))
    pixels: NDArray[np.uint8] = (128 + 90 * np.stack(waves, 2) + noise).clip(0, 255).astype("uint8")
    return pixels


def raster(height: int, width: int, bands: int = 3, seed: int = 0) -> ArrayRaster:
    return ArrayRaster(picture(height, width, bands, seed))
