"""Reading a written file back, as GDAL does not tell of a disk that is full when it closes one."""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rasterio.io import DatasetReader
from rasterio.windows import Window as FileWindow

from glnet.geometry import Size, Window, blocks, strips
from glnet.raster.gdal import gdal_settings, open_dataset
from glnet.raster.protocol import Georeference, Pixels
from glnet.raster.writing.category_names import is_cut_short
from glnet.raster.writing.formats import Content, overview_factors

PNG_END = b"IEND\xaeB`\x82"
"""The last chunk of every PNG: its type and checksum; no pixel would miss it."""


class Checksum:
    """Of all pixels of a raster, the same in whichever order its tiles come: their CRCs, mixed.

    Args:
        size: Of the raster.
        tile: The side of its tiles.
    """

    def __init__(self, size: Size, tile: int) -> None:
        self._size = size
        self._tile = tile
        self.value = 0

    def add(self, window: Window, pixels: Pixels) -> None:
        """Add (bands, rows, columns) of a window whose edges are those of tiles, once."""
        for block in blocks(window.size, self._tile):
            place = f"{window.row + block.row},{window.column + block.column}:".encode()
            part = np.ascontiguousarray(pixels[:, *block.slices])
            self.value ^= zlib.crc32(part.data, zlib.crc32(place))


def fault_of_png(
    path: Path, size: Size, georeference: Georeference, content: Content, checksum: int
) -> str | None:
    """What is wrong with a written PNG; None if nothing is. As `fault_of_geotiff`."""
    with path.open("rb") as file:
        file.seek(-len(PNG_END), os.SEEK_END)
        if file.read() != PNG_END:
            return "the file is cut short"
    return _fault(path, size, georeference, content, checksum)


def fault_of_geotiff(
    path: Path, size: Size, georeference: Georeference, content: Content, checksum: int
) -> str | None:
    """What is wrong with a written GeoTIFF; None if nothing is.

    Args:
        path: The file.
        size: Height and width it must have.
        georeference: What must not be lost of its place; GDAL may say the same in other words.
        content: What its bands mean.
        checksum: The `Checksum` of its pixels.

    Raises:
        RasterError: If it cannot be opened; what else is in `GDAL_ERRORS` if it is damaged.
    """
    fault = _fault(path, size, georeference, content, checksum)
    return fault or fault_of_overviews(path, size, content)


def fault_of_overviews(path: Path, size: Size, content: Content) -> str | None:
    """What is wrong with the overviews of a GeoTIFF; None if nothing is.

    They are compared with nothing: they must be there, whole and readable.

    Raises:
        RasterError: If it cannot be opened; what else is in `GDAL_ERRORS` if it is damaged.
    """
    levels = len(overview_factors(size, content.tile))
    with open_dataset(path) as dataset:
        if any(len(dataset.overviews(band)) != levels for band in dataset.indexes):
            return "it lacks overviews"
    for level in range(levels):
        with open_dataset(path, overview_level=level) as overview:
            if _lacks_tile(overview):
                return "an overview is cut short"
            for _ in _parts_of(overview, content.tile):
                pass  # Reading is what tells.
    return None


def _fault(
    path: Path, size: Size, georeference: Georeference, content: Content, checksum: int
) -> str | None:
    if is_cut_short(path):
        return "the file beside it is cut short"
    with open_dataset(path) as dataset:
        if (dataset.height, dataset.width) != (size.height, size.width):
            return f"it has {dataset.height}x{dataset.width} pixels"
        found = Checksum(size, content.tile)
        for window, pixels in _parts_of(dataset, content.tile):
            found.add(window, pixels)
        if found.value != checksum:
            return "the file does not hold what was written to it"
        if _has_lost_its_place(dataset, georeference) or not (
            content.tags.items() <= dataset.tags().items()
        ):
            return "the file has lost its place on Earth or its names"
    return None


def _parts_of(dataset: DatasetReader, tile: int) -> Iterator[tuple[Window, Pixels]]:
    """Tiles where the file has them; whole rows of a PNG, which is read from the top down."""
    size = Size(dataset.height, dataset.width)
    for window in blocks(size, tile) if dataset.profile["tiled"] else strips(size, tile):
        yield window, dataset.read(window=_file_window(window))


def _file_window(window: Window) -> FileWindow:
    return FileWindow(window.column, window.row, window.size.width, window.size.height)


def _has_lost_its_place(dataset: DatasetReader, place: Georeference) -> bool:
    if place.rpcs is not None and dataset.rpcs is None:
        return True
    gcps, gcps_crs = dataset.gcps
    if place.gcps:
        return len(gcps) != len(place.gcps) or (not gcps_crs and bool(place.gcps_crs))
    with gdal_settings():
        transform = dataset.transform
    return (not dataset.crs and bool(place.crs)) or (
        place.transform is not None and transform.is_identity != place.transform.is_identity
    )


def _lacks_tile(dataset: DatasetReader) -> bool:
    """Whether a tile was never written: GDAL would read it as one of nothing, without an error."""
    # Bands share their tiles.
    return any(
        dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", dm="TIFF", bidx=1) is None
        for (row, column), _ in dataset.block_windows(1)
    )
