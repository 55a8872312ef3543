"""Label maps on disk, written strip by strip: tiled GeoTIFF or PNG with a colour table."""

import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.io import DatasetWriter
from rasterio.windows import Window as FileWindow

from glnet.errors import OutputError
from glnet.geometry import Size, strips
from glnet.raster.gdal import GDAL_ERRORS, gdal_settings, open_dataset, reading_settings, reason
from glnet.raster.output import check_destination, partial_file, publish, sidecar_of, write_error
from glnet.raster.protocol import Georeference

LABEL_TILE = 512
"""The side of the tiles of a written GeoTIFF."""

CLASSES_TAG = "GLNET_CLASSES"
"""The metadata item that names the classes, as a JSON list from index 0 on."""

TIFF_SUFFIXES = (".tif", ".tiff")
PNG_SUFFIX = ".png"
LABEL_SUFFIXES = (*TIFF_SUFFIXES, PNG_SUFFIX)

PNG_END = b"IEND\xaeB`\x82"
"""The last chunk of every PNG: its type and checksum."""

AUX_SUFFIX, AUX_END = ".aux.xml", b"</PAMDataset>"
"""Where GDAL keeps what a PNG has no place for, and how such a file ends."""

MAX_CLASSES = 256
"""As many as an 8-bit label can tell apart."""

Labels = NDArray[np.uint8]


class LabelWriter:
    """Writes a label map from the top down; it appears, checked, when the with block ends well.

    A ".tif" or ".tiff" becomes a GeoTIFF (512 px tiles, DEFLATE, BigTIFF where needed), a ".png" a
    PNG whose georeference lies beside it in ".png.aux.xml". Host memory: one row of tiles, that is
    512 bytes per pixel of width, and GDAL's cache. A PNG needs the room for a GeoTIFF on disk
    while it is written.

    If the block ends in an exception of any kind, nothing is left behind. What was written is read
    back and compared, as GDAL does not tell of a disk that is full when a file is closed.

    Args:
        path: Where to; its suffix chooses the format.
        size: Height and width of the whole label map.
        georeference: Where it lies on Earth.
        colors: (red, green, blue) in 0..255 of each label, from 0 on; none gives greys.
        class_names: The name of each label, from 0 on; stored in the metadata (`CLASSES_TAG`).
        nodata: The label that says "nothing here".
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
        overwrite: bool = False,
    ) -> None:
        self._path = Path(path).absolute()
        check_destination(self._path, LABEL_SUFFIXES, overwrite)
        check_labels(colors, class_names, nodata)
        self._size = size
        self._georeference = georeference or Georeference()
        self._colors = {label: (*color, 255) for label, color in enumerate(colors)}
        self._class_names = list(class_names)
        self._nodata = nodata
        self._overwrite = overwrite
        self._is_used = False
        self._stack = ExitStack()
        self._partial = self._path
        self._dataset: DatasetWriter | None = None
        self._buffer = np.empty((min(LABEL_TILE, size.height), size.width), dtype=np.uint8)
        self._rows_buffered = 0
        self._rows_written = 0
        self._checksum = 0

    def write(self, labels: Labels) -> None:
        """Append the next rows.

        Args:
            labels: (rows, width) uint8, any number of rows.

        Raises:
            OutputError: If called outside the with block, with another dtype or width, with more
                rows than are left, or if the disk is full.
        """
        self._check_rows(labels)
        while len(labels):
            rows = labels[: len(self._buffer) - self._rows_buffered]
            self._buffer[self._rows_buffered : self._rows_buffered + len(rows)] = rows
            self._rows_buffered += len(rows)
            labels = labels[len(rows) :]
            if self._rows_buffered == len(self._buffer) or self._rows_left == 0:
                self._flush()

    def __enter__(self) -> Self:
        if self._is_used:
            raise OutputError(f"{self._path} has been written; make another writer to do it again")
        self._is_used = True
        with ExitStack() as stack:
            self._partial = stack.enter_context(partial_file(self._path))
            with self._writing(), gdal_settings():
                self._dataset = self._create()
                self._describe(self._dataset)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            if error is None:
                self._finish()
            else:
                self._abandon()

    def _check_rows(self, labels: Labels) -> None:
        self._opened()
        if labels.dtype != np.uint8:
            raise OutputError(f"labels must be uint8, got {labels.dtype}, for {self._path}")
        if labels.ndim != 2 or labels.shape[1] != self._size.width:
            raise OutputError(
                f"labels for {self._path} must be (rows, {self._size.width}), got {labels.shape}"
            )
        if len(labels) > self._rows_left:
            raise OutputError(
                f"{self._path} has {self._rows_left} rows left to write, got {len(labels)}"
            )

    @property
    def _rows_left(self) -> int:
        return self._size.height - self._rows_written - self._rows_buffered

    def _flush(self) -> None:
        """Write the buffered rows: whole rows of tiles, except at the bottom."""
        rows = self._buffer[: self._rows_buffered]
        place = FileWindow(0, self._rows_written, self._size.width, len(rows))
        with self._writing():
            self._opened().write(rows, 1, window=place)
        self._checksum = zlib.crc32(rows.data, self._checksum)
        self._rows_written += len(rows)
        self._rows_buffered = 0

    def _opened(self) -> DatasetWriter:
        if self._dataset is None:
            raise OutputError(f"{self._path} is not open for writing; write inside its with block")
        return self._dataset

    def _finish(self) -> None:
        if self._rows_left:
            got = self._size.height - self._rows_left
            self._abandon()
            raise OutputError(f"{self._path} needs {self._size.height} rows, got only {got}")
        with self._writing():
            self._close()
            if self._path.suffix.lower() != PNG_SUFFIX:
                self._deliver(self._partial)
                return
            with partial_file(self._path) as png:
                rasterio.shutil.copy(str(self._partial), str(png), driver="PNG")
                self._require_png_end(png)
                self._deliver(png)

    def _deliver(self, partial: Path) -> None:
        self._verify(partial)
        publish(partial, self._path, self._overwrite)

    def _require_png_end(self, png: Path) -> None:
        """Refuse a PNG or its sidecar without its last bytes, which no pixel would miss."""
        sidecar = sidecar_of(png, AUX_SUFFIX)
        has_sidecar = bool(self._class_names) or self._georeference != Georeference()
        with png.open("rb") as file:
            file.seek(-len(PNG_END), os.SEEK_END)
            is_whole = file.read() == PNG_END
        if has_sidecar:
            is_whole = is_whole and sidecar.read_bytes().rstrip().endswith(AUX_END)
        if not is_whole:
            raise write_error(self._path, "the file is cut short")

    def _verify(self, partial: Path) -> None:
        """Read everything back and compare."""
        checksum = 0
        with open_dataset(partial) as dataset:
            for strip in strips(self._size, LABEL_TILE):
                place = FileWindow(0, strip.row, strip.size.width, strip.size.height)
                checksum = zlib.crc32(dataset.read(1, window=place).data, checksum)
        if checksum != self._checksum:
            raise write_error(self._path, "the file does not hold what was written to it")

    def _abandon(self) -> None:
        # The file is thrown away: that it cannot be closed well is no news.
        with suppress(OutputError), self._writing():
            self._close()

    def _close(self) -> None:
        dataset, self._dataset = self._dataset, None
        if dataset is not None:
            dataset.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """GDAL's settings, and its errors in our words."""
        try:
            with reading_settings():
                yield
        except OutputError:
            raise
        except GDAL_ERRORS as error:
            raise write_error(self._path, reason(error)) from error

    def _create(self) -> DatasetWriter:
        place = self._georeference
        has_gcps = bool(place.gcps)
        return rasterio.open(
            str(self._partial),
            "w",
            driver="GTiff",
            dtype="uint8",
            count=1,
            height=self._size.height,
            width=self._size.width,
            crs=place.gcps_crs if has_gcps else place.crs,
            transform=None if has_gcps else place.transform,
            gcps=list(place.gcps) or None,
            nodata=self._nodata,
            tiled=True,
            blockxsize=LABEL_TILE,
            blockysize=LABEL_TILE,
            compress="DEFLATE",
            bigtiff="IF_SAFER",
        )

    def _describe(self, dataset: DatasetWriter) -> None:
        if self._colors:
            dataset.write_colormap(1, self._colors)
        if self._class_names:
            dataset.update_tags(**{CLASSES_TAG: json.dumps(self._class_names, ensure_ascii=False)})


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
