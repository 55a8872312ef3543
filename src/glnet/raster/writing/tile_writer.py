"""8-bit rasters on disk, written by rows or tiles: what label maps and scores have in common."""

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
from glnet.geometry import Size, Window
from glnet.raster.gdal import GDAL_ERRORS, reading_settings, reason
from glnet.raster.protocol import Georeference
from glnet.raster.writing.category_names import add_category_names
from glnet.raster.writing.formats import (
    Content,
    Format,
    add_overviews,
    copy_as_cog,
    copy_as_png,
    create_geotiff,
)
from glnet.raster.writing.output import partial_file, publish, write_error
from glnet.raster.writing.verification import (
    Checksum,
    fault_of_geotiff,
    fault_of_overviews,
    fault_of_png,
)

Bytes = NDArray[np.uint8]


class TileWriter:
    """Writes bytes, in rows or in tiles; the file appears, checked, when the with block ends well.

    Either rows come from the top down, any number at a time, or windows whose edges are those of
    tiles, in any order, each once.

    GeoTIFFs have tiles of 512 px (256 for up to eight bands, 128 for more), DEFLATE, overviews down
    to one tile, and are BigTIFFs where needed. A COG or PNG is made from such a file, so both take
    room on the disk meanwhile. What a file has no place for lies beside it in ".aux.xml": the
    georeference of a PNG, and a coordinate system that cannot be said in a GeoTIFF's keys.

    Host memory: what GDAL takes, and for rows those of one row of tiles; whatever the size else.

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
        self._buffer: Bytes | None = None
        self._rows_buffered = 0
        self._rows_written = 0
        self._pixels_written = 0
        self._checksum = Checksum(size, content.tile)

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
        if self._buffer is None:
            rows = min(self._content.tile, self._size.height)
            self._buffer = np.empty((self._content.bands, rows, self._size.width), dtype=np.uint8)
        while pixels.shape[1]:
            part = pixels[:, : self._buffer.shape[1] - self._rows_buffered]
            stop = self._rows_buffered + part.shape[1]
            self._buffer[:, self._rows_buffered : stop] = part
            self._rows_buffered = stop
            pixels = pixels[:, part.shape[1] :]
            if self._rows_buffered == self._buffer.shape[1] or self._rows_left == 0:
                self._flush(self._buffer)

    def _put(self, window: Window, pixels: Bytes) -> None:
        """Write (bands, rows, columns) where they belong.

        Raises:
            OutputError: If called outside the with block, if the window's edges are not those of
                tiles, or if the disk is full.
        """
        dataset, tile, size = self._opened(), self._content.tile, self._size
        ends = ((window.row_stop, size.height), (window.column_stop, size.width))
        is_aligned = window.row % tile == 0 == window.column % tile and all(
            stop == length or (stop < length and stop % tile == 0) for stop, length in ends
        )
        if not is_aligned:
            raise OutputError(
                f"{self._path} is written in windows whose edges are multiples of {tile} or its own"
                f" ({size}), got {window}"
            )
        place = FileWindow(window.column, window.row, window.size.width, window.size.height)
        with self._writing():
            dataset.write(pixels, window=place)
        self._checksum.add(window, pixels)
        self._pixels_written += window.size.area

    @property
    def _rows_left(self) -> int:
        return self._size.height - self._rows_written - self._rows_buffered

    @property
    def _missing(self) -> str:
        """What was expected, and what came."""
        if self._pixels_written == self._rows_written * self._size.width:
            return f"{self._size.height} rows, got only {self._size.height - self._rows_left}"
        return f"{self._size.area} pixels, got only {self._pixels_written}"

    def _flush(self, buffer: Bytes) -> None:
        """Write the buffered rows: whole rows of tiles, except at the bottom."""
        rows = Size(self._rows_buffered, self._size.width)
        self._put(Window(self._rows_written, 0, rows), buffer[:, : rows.height])
        self._rows_written += rows.height
        self._rows_buffered = 0

    def _opened(self) -> DatasetWriter:
        if self._dataset is None:
            raise OutputError(f"{self._path} is not open for writing; write inside its with block")
        return self._dataset

    def _finish(self) -> None:
        self._buffer = None  # Gives its room to what is read back.
        if self._pixels_written < self._size.area:
            self._abandon()
            raise OutputError(f"{self._path} needs {self._missing}")
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
            find_fault(partial, self._size, self._georeference, self._content, self._checksum.value)
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
