"""Label maps on disk, written strip by strip: tiled GeoTIFF, COG or PNG with a colour table."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling

from glnet.errors import OutputError
from glnet.geometry import Size, Window
from glnet.raster.protocol import Georeference
from glnet.raster.writing.formats import PNG_SUFFIX, TIFF_SUFFIXES, Content, Format, tile_side
from glnet.raster.writing.output import check_destination
from glnet.raster.writing.tile_writer import TileWriter

LABEL_TILE = tile_side(1)
"""The side of the tiles of a written GeoTIFF."""

CLASSES_TAG = "GLNET_CLASSES"
"""The metadata item that names the classes, as a JSON list from index 0 on."""

LABEL_SUFFIXES = (*TIFF_SUFFIXES, PNG_SUFFIX)

MAX_CLASSES = 256
"""As many as an 8-bit label can tell apart."""

Labels = NDArray[np.uint8]


class LabelWriter(TileWriter):
    """Writes a label map from the top down; it appears, checked, when the with block ends well.

    A ".tif" or ".tiff" becomes a GeoTIFF, a ".png" a PNG; see `TileWriter` for how, and for the
    memory: 512 bytes per pixel of width, besides GDAL's. Overviews hold the label that is met most
    often under a pixel, nodata not counted. The nodata label is transparent: in a PNG itself, and
    where GDAL reads a GeoTIFF.

    Args:
        path: Where to; its suffix chooses the format.
        size: Height and width of the whole label map.
        georeference: Where it lies on Earth.
        colors: (red, green, blue) in 0..255 of each label, from 0 on; none gives greys.
        class_names: The name of each label, from 0 on; stored in the metadata (`CLASSES_TAG`).
        nodata: The label that says "nothing here".
        cog: Whether a GeoTIFF is to be a Cloud Optimized one.
        names_beside: Whether a GeoTIFF's class names are also written to ".aux.xml" beside it,
            where GDAL finds them as category names, which GIS programs may show in a legend. A
            PNG's always are.
        overwrite: Whether a file that is there already is replaced.

    Raises:
        OutputError: If nothing can be written there, or colours, names or nodata do not fit labels.
    """

    def __init__(  # noqa: PLR0913 - a label map has this much to say, each part on its own
        self,
        path: str | Path,
        size: Size,
        georeference: Georeference | None = None,
        colors: Sequence[tuple[int, int, int]] = (),
        class_names: Sequence[str] = (),
        nodata: int | None = None,
        *,
        cog: bool = False,
        names_beside: bool = False,
        overwrite: bool = False,
    ) -> None:
        path = Path(path).absolute()
        check_destination(path, LABEL_SUFFIXES, overwrite)
        check_labels(colors, class_names, nodata)
        form = Format.chosen(path, cog=cog)
        content = Content(
            resampling=Resampling.mode,
            nodata=nodata,
            colors={
                label: (*color, 0 if label == nodata else 255) for label, color in enumerate(colors)
            },
            tags=_tags(class_names),
            category_names=tuple(class_names) if names_beside or form is Format.PNG else (),
        )
        super().__init__(path, size, georeference, content, form, overwrite=overwrite)

    def write(self, labels: Labels) -> None:
        """Append the next rows.

        Args:
            labels: (rows, width) uint8, any number of rows.

        Raises:
            OutputError: If called outside the with block, with another dtype or width, with more
                rows than are left, or if the disk is full.
        """
        if labels.dtype != np.uint8:
            raise OutputError(f"labels must be uint8, got {labels.dtype}, for {self._path}")
        if labels.ndim != 2 or labels.shape[1] != self._size.width:
            raise OutputError(
                f"labels for {self._path} must be (rows, {self._size.width}), got {labels.shape}"
            )
        self._append(labels[np.newaxis])

    def write_window(self, window: Window, labels: Labels) -> None:
        """Write the labels (rows, columns) of a window whose edges are those of tiles, once.

        Raises:
            OutputError: If called outside the with block, with another dtype or shape, with other
                edges, or if the disk is full.
        """
        shape = (window.size.height, window.size.width)
        if labels.dtype != np.uint8 or labels.shape != shape:
            raise OutputError(
                f"labels for {self._path} must be uint8 of {shape}, got {labels.dtype} of "
                f"{labels.shape}"
            )
        self._put(window, labels[np.newaxis])


def _tags(class_names: Sequence[str]) -> dict[str, str]:
    if not class_names:
        return {}
    return {CLASSES_TAG: json.dumps(list(class_names), ensure_ascii=False)}


def check_labels(
    colors: Sequence[tuple[int, int, int]], class_names: Sequence[str], nodata: int | None
) -> None:
    """Refuse what 8-bit labels cannot have.

    Raises:
        OutputError: If there are over 256 colours or names, a colour is none, or nodata no label.
    """
    for what, values in (("colours", colors), ("class names", class_names)):
        if len(values) > MAX_CLASSES:
            raise OutputError(f"8-bit labels have at most {MAX_CLASSES} {what}, got {len(values)}")
    for color in colors:
        if len(color) != 3 or not all(0 <= part <= 255 for part in color):
            raise OutputError(f"a colour is (red, green, blue) in 0..255, got {color}")
    if nodata is not None and not 0 <= nodata <= 255:
        raise OutputError(f"the nodata label must be in 0..255, got {nodata}")
