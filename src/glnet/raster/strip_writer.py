"""8-bit rasters on disk, written strip by strip: what label maps and scores have in common."""

import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetWriter
from rasterio.windows import Window as FileWindow

from glnet.errors import OutputError
from glnet.geometry import Size
from glnet.raster.category_names import add_category_names
from glnet.raster.formats import (
    Content,
    Format,
    add_overviews,
    copy_as_cog,
    copy_as_png,
    create_geotiff,
    tile_side,
)
from glnet.raster.gdal import GDAL_ERRORS, reading_settings, reason
from glnet.raster.output import partial_file, publish, write_error
from glnet.raster.protocol import Georeference
from glnet.raster.verification import fault_of_geotiff, fault_of_overviews, fault_of_png

Bytes = NDArray[np.uint8]


def buffer_bytes(size: Size, bands: int = 1) -> int:
    """Host memory of the rows that a writer keeps until they fill a row of tiles."""
    return bands * min(tile_side(bands), size.height) * size.width


class StripWriter:
    """Writes bytes from the top down; the file appears, checked, when the with block ends well.

    GeoTIFFs have tiles of 512 px (256 for up to eight bands, 128 for more), DEFLATE, overviews down
    to one tile, and are BigTIFFs where needed. A COG or PNG is made from such a file, so both take
    room on the disk meanwhile. What a file has no place for lies beside it in ".aux.xml": the
    georeference of a PNG, and a coordinate system that cannot be said in a GeoTIFF's keys.

    Host memory: `buffer_bytes`, and what GDAL takes, whatever the height.

    If the block ends in an exception of any kind, nothing is left behind. What was written is read
    back and compared, as GDAL does not tell of a disk that is full when a file is closed.

    Args:
        path: Where to, absolute; `check_destination` has let it pass.
        size: Height and width of the whole raster.
        georeference: Where it lies on Earth.
        content: What its bands mean.
        form: What the file becomes.
        overwrite: Whether a file that is there already is replaced.
    """

    def __init__(
        self,
        path: Path,
        size: Size,
        georeference: Georeference | None,
        content: Content,
        form: Format,
        *,
        overwrite: bool,
    ) -> None:
        self._path = path
        self._size = size
        self._georeference = georeference or Georeference()
        self._content = content
        self._format = form
        self._overwrite = overwrite
        self._is_used = False
        self._stack = ExitStack()
        self._partial = path
        self._dataset: DatasetWriter | None = None
        rows = min(content.tile, size.height)
        self._buffer = np.empty((content.bands, rows, size.width), dtype=np.uint8)
        self._rows_buffered = 0
        self._rows_written = 0
        self._checksum = 0

    def __enter__(self) -> Self:
        if self._is_used:
            raise OutputError(f"{self._path} has been written; make another writer to do it again")
        self._is_used = True
        with ExitStack() as stack:
            self._partial = stack.enter_context(partial_file(self._path))
            with self._writing():
                self._dataset = create_geotiff(
                    self._partial, self._size, self._georeference, self._content
                )
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

    def _append(self, pixels: Bytes) -> None:
        """Write the next rows: (bands, rows, width), any number of rows.

        Raises:
            OutputError: If called outside the with block, with more rows than are left, or if the
                disk is full.
        """
        self._opened()
        if pixels.shape[1] > self._rows_left:
            raise OutputError(
                f"{self._path} has {self._rows_left} rows left to write, got {pixels.shape[1]}"
            )
        while pixels.shape[1]:
            rows = pixels[:, : self._buffer.shape[1] - self._rows_buffered]
            stop = self._rows_buffered + rows.shape[1]
            self._buffer[:, self._rows_buffered : stop] = rows
            self._rows_buffered = stop
            pixels = pixels[:, rows.shape[1] :]
            if self._rows_buffered == self._buffer.shape[1] or self._rows_left == 0:
                self._flush()

    @property
    def _rows_left(self) -> int:
        return self._size.height - self._rows_written - self._rows_buffered

    def _flush(self) -> None:
        """Write the buffered rows: whole rows of tiles, except at the bottom."""
        rows = np.ascontiguousarray(self._buffer[:, : self._rows_buffered])
        place = FileWindow(0, self._rows_written, self._size.width, self._rows_buffered)
        with self._writing():
            self._opened().write(rows, window=place)
        self._checksum = zlib.crc32(rows.data, self._checksum)
        self._rows_written += self._rows_buffered
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
        # Reading back takes as much memory once more.
        self._buffer = self._buffer[:, :0].copy()
        with self._writing():
            self._close()
            if self._format is not Format.PNG:
                add_overviews(self._partial, self._size, self._content)
            if self._format is Format.GEOTIFF:
                self._deliver(self._partial)
                return
            with partial_file(self._path) as converted:
                self._convert(converted)
                self._deliver(converted)

    def _convert(self, converted: Path) -> None:
        if self._format is Format.PNG:
            copy_as_png(self._partial, converted)
            return
        # A copy would be whole where an overview is not.
        self._refuse(fault_of_overviews(self._partial, self._size, self._content))
        copy_as_cog(self._partial, converted, self._content)

    def _deliver(self, partial: Path) -> None:
        if self._content.category_names:
            add_category_names(partial, self._content.category_names)
        find_fault = fault_of_png if self._format is Format.PNG else fault_of_geotiff
        self._refuse(
            find_fault(partial, self._size, self._georeference, self._content, self._checksum)
        )
        publish(partial, self._path, self._overwrite)

    def _refuse(self, fault: str | None) -> None:
        if fault is not None:
            raise write_error(self._path, fault)

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
