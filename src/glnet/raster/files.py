"""The one function that opens pixel files, and the raster it gives."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.io import DatasetReader

from glnet.closing import Closing
from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster.gdal import DECODED_WHOLE, GDAL_ERRORS, doubt, open_dataset, reason
from glnet.raster.orientation import UPRIGHT, Orientation
from glnet.raster.palettes import Colors, Palette
from glnet.raster.placing import georeference_of, orientation_of
from glnet.raster.protocol import Georeference, Masked, Pixels, require_inside, whole
from glnet.raster.stored import StoredPicture
from glnet.raster.views import RasterView


class RasterFile(Closing):
    """A pixel file, read window by window; made by `open_raster`. A context manager.

    Sizes and windows are those of the picture as displayed: an EXIF orientation is obeyed.

    JPEG, PNG, WebP and GIF have no random access. Such a file is decoded once, at the first
    `read`, and kept: height x width x bands x bytes per value of host memory until `close` (24 MB
    for a photo of 8 megapixels), and twice that for a moment where rows and columns are swapped.
    `glnet.raster.spooled` reads large ones in constant memory.

    Holds one open file. Not to be shared by threads or processes: each opens its own.
    """

    def __init__(
        self,
        path: str | Path,
        dataset: DatasetReader,
        palette: Palette,
        bands: Sequence[int] | None = None,
    ) -> None:
        self._name = str(path)
        self._options = (palette, bands)
        self._picture = StoredPicture(dataset, self._name, palette, bands)
        self._stored_size = self._picture.size
        self._orientation = orientation_of(dataset, Path(path))
        self._georeference = georeference_of(dataset, self._orientation)
        self._driver: str = dataset.driver
        self._is_decoded_whole = self._driver in DECODED_WHOLE
        self._decoded: Masked | None = None
        self._is_closed = False

    @property
    def name(self) -> str:
        """The path as it was given."""
        return self._name

    @property
    def size(self) -> Size:
        """Height and width in pixels, as displayed."""
        return self._orientation.displayed_size(self._stored_size)

    @property
    def bands(self) -> int:
        """The number of bands, transparency not counted."""
        return self._picture.bands

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number type of the pixels."""
        return self._picture.dtype

    @property
    def is_turned(self) -> bool:
        """Whether the file says that it is to be displayed otherwise than it is stored."""
        return self._orientation != UPRIGHT

    @property
    def stored_size(self) -> Size:
        """Height and width in pixels, as stored."""
        return self._stored_size

    @property
    def georeference(self) -> Georeference:
        """Where the displayed picture lies on Earth."""
        return self._georeference

    @property
    def nodata(self) -> float | None:
        """The file's nodata value; None where a palette was expanded, as it is an index there."""
        return self._picture.nodata

    @property
    def has_mask(self) -> bool:
        """Whether some pixels may be no measurements."""
        return self._picture.has_mask

    @property
    def palette(self) -> Colors | None:
        """The colour table, if the file has one."""
        return self._picture.palette

    @property
    def driver(self) -> str:
        """GDAL's name of the format."""
        return self._driver

    @property
    def orientation(self) -> Orientation:
        """How the stored picture is turned before it is displayed."""
        return self._orientation

    @property
    def stored_block(self) -> Size:
        """The storage tile of the file; a row where it has none."""
        return self._picture.block

    @property
    def pixel_bytes(self) -> int:
        """What a pixel takes in memory while it is read, masks not counted."""
        return self._picture.values_per_pixel * self.dtype.itemsize

    @property
    def block(self) -> Size:
        """What is decoded together, as displayed: a tile, some rows, or the whole picture."""
        if self._is_decoded_whole:
            return self.size
        return self._orientation.displayed_size(self._picture.block)

    @property
    def overviews(self) -> Sequence[int]:
        """How many times smaller the file's own smaller copies are, about, the largest first."""
        return () if self._is_decoded_whole else self._picture.overviews

    @contextmanager
    def overview(self, number: int) -> Iterator["Overview"]:
        """A smaller copy of the raster within the file, by its place in `overviews`.

        Raises:
            RasterError: If it cannot be opened.
        """
        with closing(Overview(self, self._picture.overview(number))) as smaller:
            yield smaller

    @property
    def decoded_bytes(self) -> int:
        """Host memory that pixels take at most from the first `read` until `close`, or 0."""
        if not self._is_decoded_whole:
            return 0
        return self._stored_size.area * self.pixel_bytes * (2 if self.is_turned else 1)

    def read(self, window: Window) -> Pixels:
        """The pixels of a window, (bands, height, width), in the file's number type.

        Raises:
            GeometryError: If the window is not inside the raster.
            RasterError: If the file is closed, or damaged under this window.
        """
        return self.read_masked(window).pixels

    def read_masked(self, window: Window) -> Masked:
        """The pixels of a window, and which of them are measurements (`Raster.read_masked`).

        Raises:
            GeometryError: If the window is not inside the raster.
            RasterError: If the file is closed, or damaged under this window.
        """
        require_inside(window, self)
        if self._is_decoded_whole:
            pixels, valid = self._decode()
            part = None if valid is None else valid[window.slices].copy()
            return Masked(pixels[:, *window.slices].copy(), part)
        return self._read_displayed(window)

    def read_stored(self, window: Window) -> Masked:
        """A window of the picture as it is stored, which is never decoded whole for it.

        In formats without random access, every window should begin where the last one ended, and
        be full rows that fit GDAL's cache: a step back decodes all from the top again.

        Raises:
            RasterError: If the file is closed, or damaged under this window.
        """
        if self._is_closed:
            raise RasterError(f"{self._name} is closed; read it inside its with block")
        return _read(self._name, self._picture, window, self._orientation)

    def reopened(self) -> "RasterFile":
        """The same file once more, read in the same way, with a decoder of its own.

        Raises:
            RasterError: If it cannot be opened any more.
        """
        return open_raster(self._name, *self._options)

    def close(self) -> None:
        """Close the file and forget decoded pixels. Closing twice is no error."""
        self._picture.close()
        self._decoded, self._is_closed = None, True

    def _decode(self) -> Masked:
        if self._decoded is None:
            self._decoded = self._read_displayed(whole(self))
        return self._decoded

    def _read_displayed(self, window: Window) -> Masked:
        stored = self.read_stored(self._orientation.stored_window(window, self._stored_size))
        return self._orientation.display_masked(stored)


class Overview(RasterView):
    """A smaller copy of a raster within its file; made by `RasterFile.overview`.

    Args:
        raster: The raster at its full size; stays open.
        picture: The smaller copy; closed with this.
    """

    def __init__(self, raster: RasterFile, picture: StoredPicture) -> None:
        super().__init__(raster)
        # From the full size: GDAL makes up where an overview lies, and knows no orientation of it.
        self._orientation = raster.orientation
        self._picture = picture

    @property
    def size(self) -> Size:
        """Height and width in pixels, as displayed."""
        return self._orientation.displayed_size(self._picture.size)

    @property
    def block(self) -> Size:
        """What is decoded together, as displayed."""
        return self._orientation.displayed_size(self._picture.block)

    def read_masked(self, window: Window) -> Masked:
        """The pixels of a window, and which of them are measurements.

        Raises:
            GeometryError: If the window is not inside the overview.
            RasterError: If the file is damaged under this window.
        """
        require_inside(window, self)
        stored = self._orientation.stored_window(window, self._picture.size)
        name = f"the overview of {self.name}"
        return self._orientation.display_masked(
            _read(name, self._picture, stored, self._orientation)
        )

    def close(self) -> None:
        """Close what was opened for it."""
        self._picture.close()


def _read(name: str, picture: StoredPicture, window: Window, orientation: Orientation) -> Masked:
    """A window of a picture as it is stored; errors name it as displayed."""
    try:
        return picture.read(window)
    except GDAL_ERRORS as error:
        seen = orientation.displayed_window(window, picture.size)
        raise RasterError(
            f"{name} cannot be read at rows {seen.row}..{seen.row_stop}, columns "
            f"{seen.column}..{seen.column_stop}, {doubt(picture.path)}: {reason(error)}"
        ) from error


def open_raster(
    path: str | Path, palette: Palette = Palette.EXPAND, bands: Sequence[int] | None = None
) -> RasterFile:
    """Open a picture: GeoTIFF, COG, JPEG 2000, JPEG, PNG and what else GDAL reads as one.

    Unless bands are named, those that the file calls alpha are left out. Beware of 8-bit GeoTIFFs
    of four bands, such as near infrared beside colours: GDAL calls the fourth alpha unless it is
    told otherwise when it writes them (``photometric=minisblack``, or
    `gdal_edit.py -colorinterp_4 undefined` later).

    Args:
        path: A file; or a path of GDAL's virtual file systems, beginning with "/vsi".
        palette: What becomes of a picture whose pixels are indices into a colour table.
        bands: Which bands, counted from 1, in which order; one may come twice. A band that is
            named is pixels, whatever the file calls it: a named alpha band masks nothing. Where a
            palette is expanded, 1, 2, 3 are its red, green and blue.

    Raises:
        RasterError: If there is no such file, or it is not a picture, or it is damaged, or it has
            no such band.
    """
    dataset = open_dataset(path)
    try:
        return RasterFile(path, dataset, palette, bands)
    except BaseException:
        dataset.close()
        raise
