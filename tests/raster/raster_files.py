"""Small files for the tests of `open_raster`."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image

from glnet.geometry import Window
from glnet.raster import Palette, open_raster
from glnet.raster.gdal import gdal_settings


def noise(*shape: int, dtype: str = "uint8") -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, 120, shape).astype(dtype)


def smooth_colours(height: int, width: int) -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    bands = [rows * 255 // height, columns * 255 // width, (rows + columns) // 2 % 256]
    return Image.fromarray(np.stack(bands, axis=2).astype(np.uint8))


def write_tiff(path: Path, pixels: NDArray[Any], **profile: object) -> Path:
    bands, height, width = pixels.shape
    shape = {"count": bands, "height": height, "width": width, "dtype": pixels.dtype}
    with gdal_settings(), rasterio.open(path, "w", driver="GTiff", **shape, **profile) as file:
        file.write(pixels)
    return path


def read_all(path: str | Path, palette: Palette = Palette.EXPAND) -> NDArray[Any]:
    with open_raster(path, palette) as raster:
        pixels = raster.read(Window(0, 0, raster.size))
        assert pixels.shape == (raster.bands, raster.size.height, raster.size.width)
        assert pixels.dtype == raster.dtype
        return pixels


def damage_block(path: Path, row: int, column: int, overview: int | None = None) -> None:
    """Overwrite a stored block of a GeoTIFF or of an overview, counted in blocks, with zeros."""
    with gdal_settings(), rasterio.open(path) as file:
        offset, length = (
            int(file.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", 1, overview))
            for what in ("OFFSET", "SIZE")
        )
    with path.open("r+b") as stored:
        stored.seek(offset)
        stored.write(bytes(length))
