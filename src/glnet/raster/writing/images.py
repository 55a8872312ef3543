"""Images written strip by strip as GeoTIFF: what the drawn scenes need."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window as FileWindow

from glnet.errors import OutputError
from glnet.geometry import Size, Window
from glnet.raster.gdal import GDAL_ERRORS, gdal_settings, reason
from glnet.raster.protocol import Georeference
from glnet.raster.writing.output import check_destination, partial_file, publish, write_error

TILE = 256
"""The side of the tiles."""

WriteWindow = Callable[[Window, NDArray[np.uint8]], None]
"""Writes pixels (3, height, width) to a window."""


@contextmanager
def image_writer(
    path: str | Path, size: Size, georeference: Georeference, *, overwrite: bool = False
) -> Iterator[WriteWindow]:
    """A tiled 8-bit RGB GeoTIFF, which appears under its name when the block ends well.

    Raises:
        OutputError: If it exists, its folder is missing or closed to us, the suffix is not
            ``.tif``, or the disk is full.
    """
    path = Path(path).absolute()
    check_destination(path, (".tif", ".tiff"), overwrite)
    with partial_file(path) as partial:
        try:
            with gdal_settings(), _create(partial, size, georeference) as dataset:
                yield lambda window, pixels: dataset.write(pixels, window=_file_window(window))
        except OutputError:
            raise
        except GDAL_ERRORS as error:
            raise write_error(path, reason(error)) from error
        publish(partial, path, overwrite)


def _create(path: Path, size: Size, georeference: Georeference) -> Any:  # noqa: ANN401 - untyped
    return rasterio.open(
        str(path),
        "w",
        driver="GTiff",
        dtype="uint8",
        count=3,
        height=size.height,
        width=size.width,
        crs=georeference.crs,
        transform=georeference.transform,
        photometric="RGB",
        tiled=True,
        blockxsize=TILE,
        blockysize=TILE,
        compress="DEFLATE",
        # Noise hardly shrinks: more effort would cost seconds and save nothing.
        zlevel=1,
    )


def _file_window(window: Window) -> FileWindow:
    return FileWindow(window.column, window.row, window.size.width, window.size.height)
