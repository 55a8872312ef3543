"""The one function that opens pixel files, and the raster it gives."""

from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window as FileWindow

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster.gdal import (
    DECODED_WHOLE,
    GDAL_ERRORS,
    gdal_settings,
    open_dataset,
    reading_settings,
    reason,
)
from glnet.raster.headers import header_orientation
from glnet.raster.orientation import UPRIGHT, Orientation, exif_orientation
from glnet.raster.protocol import (
    Georeference,
    Masked,
    Pixels,
    Valid,
    masked,
    require_inside,
    whole,
)

Colors = dict[int, tuple[int, int, int]]
"""A colour table: (red, green, blue) in 0..255 of every index."""


class Palette(StrEnum):
    """What becomes of a picture whose pixels are indices into a colour table."""

    EXPAND = "expand"
    """Three bands: the red, green and blue of every pixel."""
    KEEP = "keep"
    """One band: the indices. `RasterFile.palette` has the colours."""


class RasterFile:
    """A pixel file, read window by window; made by `open_raster`. A context manager.

    Sizes and windows are those of the picture as displayed: an EXIF orientation is obeyed.

    JPEG, PNG, WebP and GIF have no random access. Such a file is decoded once, at the first
    `read`, and kept: height x width x bands x bytes per value of host memory until `close` (24 MB
    for a photo of 8 megapixels), and twice that for a moment where rows and columns are swapped.

    Holds one open file. Not to be shared by threads or processes: each opens its own.
    """

    def __init__(self, path: str | Path, dataset: DatasetReader, palette: Palette) -> None:
        self._name = str(path)
        self._dataset: DatasetReader | None = dataset
        self._decoded: Masked | None = None
        self._is_decoded_whole = dataset.driver in DECODED_WHOLE
        self._palette = _color_table(dataset)
        self._lookup = _lookup(self._palette) if palette is Palette.EXPAND else None
        self._indexes = _picture_bands(dataset, self._name)
        self._stored_dtype = _common_dtype(dataset, self._indexes, self._name)
        self._orientation = _orientation(dataset, Path(path))
        self._stored_size = Size(dataset.height, dataset.width)
        self._georeference = _georeference(dataset, self._orientation)
        self._nodata: float | None = None if self._lookup is not None else dataset.nodata
        self._nodata_values = [dataset.nodatavals[index - 1] for index in self._indexes]
        self._mask_band = _mask_band(dataset, self._indexes)

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
        return len(self._indexes) if self._lookup is None else 3

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number type of the pixels."""
        return self._stored_dtype if self._lookup is None else self._lookup.dtype

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
        return self._nodata

    @property
    def has_mask(self) -> bool:
        """Whether some pixels may be no measurements."""
        has_nodata = any(value is not None for value in self._nodata_values)
        return self._mask_band is not None or has_nodata or self._stored_dtype.kind == "f"

    @property
    def palette(self) -> Colors | None:
        """The colour table, if the file has one."""
        return self._palette

    @property
    def decoded_bytes(self) -> int:
        """Host memory that pixels take at most from the first `read` until `close`, or 0."""
        if not self._is_decoded_whole:
            return 0
        values = self._stored_size.area * max(self.bands, len(self._indexes))
        return values * self.dtype.itemsize * (2 if self.is_turned else 1)

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
        return self._read_stored(window)

    def close(self) -> None:
        """Close the file and forget decoded pixels. Closing twice is no error."""
        if self._dataset is not None:
            self._dataset.close()
        self._dataset = self._decoded = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _decode(self) -> Masked:
        if self._decoded is None:
            self._decoded = self._read_stored(whole(self))
        elif self._dataset is None:
            raise self._closed()
        return self._decoded

    def _read_stored(self, window: Window) -> Masked:
        dataset = self._dataset
        if dataset is None:
            raise self._closed()
        stored = self._orientation.stored_window(window, self._stored_size)
        place = FileWindow(stored.column, stored.row, stored.size.width, stored.size.height)
        try:
            with reading_settings():
                pixels: Pixels = dataset.read(
                    self._indexes, window=place, out_dtype=self._stored_dtype
                )
                valid = self._read_mask(dataset, place)
        except GDAL_ERRORS as error:
            raise RasterError(
                f"{self._name} cannot be read at rows {window.row}..{window.row_stop}, columns "
                f"{window.column}..{window.column_stop}, the file may be damaged: {reason(error)}"
            ) from error
        valid = masked(pixels, self._nodata_values, valid).valid
        if self._lookup is not None:
            pixels = self._lookup[:, pixels[0]]
        displayed = np.ascontiguousarray(self._orientation.display(pixels))
        if valid is None:
            return Masked(displayed, None)
        return Masked(displayed, np.ascontiguousarray(self._orientation.display(valid[None])[0]))

    def _read_mask(self, dataset: DatasetReader, place: FileWindow) -> Valid | None:
        """What the file's transparency or its mask says."""
        if self._mask_band is None:
            return None
        if self._mask_band == OWN_MASK:
            return np.asarray(dataset.read_masks(self._indexes[0], window=place) != 0)
        return np.asarray(dataset.read(self._mask_band, window=place) != 0)

    def _closed(self) -> RasterError:
        return RasterError(f"{self._name} is closed; read it inside its with block")


def open_raster(path: str | Path, palette: Palette = Palette.EXPAND) -> RasterFile:
    """Open a picture: GeoTIFF, COG, JPEG 2000, JPEG, PNG and what else GDAL reads as one.

    Bands that the file calls alpha are left out. Beware of 8-bit GeoTIFFs of four bands, such as
    near infrared beside colours: GDAL calls the fourth alpha unless it is told otherwise when it
    writes them (``photometric=minisblack``, or `gdal_edit.py -colorinterp_4 undefined` later).

    Args:
        path: A file; or a path of GDAL's virtual file systems, beginning with "/vsi".
        palette: What becomes of a picture whose pixels are indices into a colour table.

    Raises:
        RasterError: If there is no such file, or it is not a picture, or it is damaged.
    """
    dataset = open_dataset(path)
    try:
        return RasterFile(path, dataset, palette)
    except BaseException:
        dataset.close()
        raise


def _picture_bands(dataset: DatasetReader, name: str) -> list[int]:
    kinds = zip(dataset.indexes, dataset.colorinterp, strict=True)
    indexes = [index for index, kind in kinds if kind is not ColorInterp.alpha]
    if not indexes:
        raise RasterError(f"{name} has no bands besides transparency; expected at least one")
    return indexes


OWN_MASK = 0
"""In place of a band's number: the mask that the file has beside its bands."""


def _mask_band(dataset: DatasetReader, indexes: list[int]) -> int | None:
    """Which band says what is a measurement; none that is among the pictures' own."""
    kinds = zip(dataset.indexes, dataset.colorinterp, strict=True)
    alphas: list[int] = [
        at for at, kind in kinds if kind is ColorInterp.alpha and at not in indexes
    ]
    if alphas:
        return alphas[0]
    flags = dataset.mask_flag_enums[indexes[0] - 1]
    is_own = MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags
    return OWN_MASK if is_own else None


def _common_dtype(dataset: DatasetReader, indexes: list[int], name: str) -> np.dtype[Any]:
    kinds = sorted({dataset.dtypes[index - 1] for index in indexes})
    if any(kind.startswith("complex") for kind in kinds):
        raise RasterError(
            f"{name} has complex pixels ({', '.join(kinds)}); expected integers or floats: "
            "write its magnitude or its parts to bands first"
        )
    return np.result_type(*kinds)


def _color_table(dataset: DatasetReader) -> Colors | None:
    if dataset.count != 1 or dataset.dtypes[0] not in {"uint8", "uint16"}:
        return None
    if dataset.colorinterp[0] is not ColorInterp.palette:
        return None
    try:
        table = dataset.colormap(1)
    except ValueError:  # Called a palette by the file, which then has none.
        return None
    return {index: (red, green, blue) for index, (red, green, blue, _) in table.items()}


def _lookup(palette: Colors | None) -> Pixels | None:
    if palette is None:
        return None
    table = np.zeros((3, 65536 if max(palette) > 255 else 256), dtype=np.uint8)
    for index, color in palette.items():
        table[:, index] = color
    return table


def _orientation(dataset: DatasetReader, path: Path) -> Orientation:
    if dataset.driver == "JPEG":
        value = dataset.tags().get("EXIF_Orientation", "")
        return exif_orientation(int(value)) if value.isdecimal() else UPRIGHT
    # Map makers count from the stored corner whatever the orientation says, as GDAL does.
    if _transform(dataset) is not None or dataset.gcps[0]:
        return UPRIGHT
    return header_orientation(path, dataset.driver)


def _georeference(dataset: DatasetReader, orientation: Orientation) -> Georeference:
    gcps, gcps_crs = dataset.gcps
    stored = Size(dataset.height, dataset.width)
    transform = _transform(dataset)
    return Georeference(
        crs=dataset.crs,
        transform=transform and orientation.displayed_transform(transform, stored),
        gcps=tuple(_displayed_gcp(point, orientation, stored) for point in gcps),
        gcps_crs=gcps_crs,
    )


def _transform(dataset: DatasetReader) -> Affine | None:
    with gdal_settings():
        transform: Affine = dataset.transform
    return None if transform.is_identity else transform


def _displayed_gcp(
    point: GroundControlPoint, orientation: Orientation, stored: Size
) -> GroundControlPoint:
    row, column = orientation.displayed_point(point.row, point.col, stored)
    return GroundControlPoint(row, column, point.x, point.y, point.z, point.id, point.info)
