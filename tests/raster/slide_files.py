"""Small pyramids of a drawn slide, as scanners and microscopes write them."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

TILE = 128
MPP = 0.25

APERIO = (
    "Aperio Image Library v11.2.1 \n{width}x{height} [0,0 {width}x{height}] (128x128) "
    "RGB Q=70|AppMag = 40|MPP = {mpp}"
)


def drawn(height: int = 640, width: int = 896) -> NDArray[Any]:
    """Grey glass with a stained disc, (height, width, 3)."""
    rows, columns = np.mgrid[:height, :width]
    is_tissue = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (height / 3) ** 2
    noise = np.random.default_rng(0).integers(0, 6, (height, width, 1))
    glass, stain = np.array([232, 232, 232]), np.array([180, 90, 150])
    return (np.where(is_tissue[..., None], stain, glass) + noise).astype(np.uint8)


def shrunk(pixels: NDArray[Any], factor: int) -> NDArray[Any]:
    """Means of whole blocks."""
    height, width = (side // factor * factor for side in pixels.shape[:2])
    blocks = pixels[:height, :width].reshape(
        height // factor, factor, width // factor, factor, *pixels.shape[2:]
    )
    means: NDArray[Any] = blocks.mean(axis=(1, 3)).astype(pixels.dtype)
    return means


def write_svs(path: Path, pixels: NDArray[Any], mpp: float | None = MPP) -> list[NDArray[Any]]:
    """A pyramid that OpenSlide takes for Aperio's, or for a plain one without ``mpp``; its levels.

    Four and sixteen times smaller.
    """
    levels = [pixels, shrunk(pixels, 4), shrunk(pixels, 16)]
    kind: dict[str, Any] = {"photometric": "rgb", "tile": (TILE, TILE), "metadata": None}
    with tifffile.TiffWriter(path) as file:
        for number, level in enumerate(levels):
            height, width = level.shape[:2]
            if mpp is not None:
                kind["description"] = APERIO.format(width=width, height=height, mpp=mpp)
            file.write(level, subfiletype=min(number, 1), **kind)
    return levels


def write_ome(
    path: Path, pixels: NDArray[Any], axes: str, unit: str = "µm", side: float = MPP
) -> list[NDArray[Any]]:
    """An OME-TIFF whose smaller levels lie in subordinate directories; its levels."""
    factors = (1, 2, 8)
    if axes == "YXS":
        levels = [shrunk(pixels, factor) for factor in factors]
    else:
        levels = [np.stack([shrunk(plane, factor) for plane in pixels]) for factor in factors]
    metadata = {
        "axes": axes,
        "PhysicalSizeX": side,
        "PhysicalSizeY": side,
        "PhysicalSizeXUnit": unit,
        "PhysicalSizeYUnit": unit,
    }
    kind: dict[str, Any] = {
        "tile": (TILE, TILE),
        "compression": "zlib",
        "photometric": "rgb" if axes == "YXS" else "minisblack",
    }
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(levels[0], subifds=len(levels) - 1, metadata=metadata, **kind)
        for level in levels[1:]:
            file.write(level, subfiletype=1, **kind)
    return levels
