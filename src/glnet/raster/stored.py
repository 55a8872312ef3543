"""The bands of a file that are its picture, read window by window as they are stored."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window as FileWindow

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster.gdal import open_dataset, reading_settings
from glnet.raster.palettes import (
    EXPANDED_BANDS,
    Palette,
    color_table,
    lookup_table,
    visible_indices,
)
from glnet.raster.protocol import Masked, Pixels, Valid, masked

OWN_MASK = 0
"""In place of a band's number: the mask that the file has beside its bands."""

EXACT_INTEGERS = 2**53
"""Up to here, floats of 64 bits hold every integer."""


class StoredPicture:
    """Pixels and masks of an open dataset; orientation is the business of others.

    Args:
        dataset: Open; closed by `close`.
        name: What to call it in messages.
        palette: What becomes of indices into a colour table.
        bands: Which bands, counted from 1, in which order; all but transparency if None.

    Raises:
        RasterError: If a band is missing, none is left, or pixels are complex.
    """

    def __init__(
        self, dataset: DatasetReader, name: str, palette: Palette, bands: Sequence[int] | None
    ) -> None:
        self._dataset = dataset
        self._name, self._options = name, (palette, bands)
        self.palette = color_table(dataset)
        self._lookup: Pixels | None = None
        self._visible: Valid | None = None
        if self.palette is not None and palette is Palette.EXPAND:
            named = named_bands(bands, [f"{at}" for at in range(1, EXPANDED_BANDS + 1)], name)
            self._lookup = lookup_table(self.palette)[np.array(named) - 1]
            self._visible = visible_indices(dataset, self.palette)
            self._indexes = [1]
        else:
            self._indexes = _picture_bands(dataset, name, bands)
        self._stored_dtype = _common_dtype(dataset, self._indexes, name)
        self._nodata_values = [dataset.nodatavals[index - 1] for index in self._indexes]
        self._has_unknown = self._lookup is None and _has_unknown_nodata(dataset, self._indexes)
        self._picture_dtype = self._stored_dtype
        if self._has_unknown or self._bands_differ():
            # Integers that cannot share one value become floats: NaN says it of any.
            self._picture_dtype = np.result_type(self._stored_dtype, np.float32)
        self._mask_band = _mask_band(dataset, self._indexes)

    @property
    def path(self) -> str:
        """What GDAL opened: an absolute path, or one of its virtual file systems."""
        return str(self._dataset.name)

    @property
    def size(self) -> Size:
        """Height and width in pixels, as stored."""
        return Size(self._dataset.height, self._dataset.width)

    @property
    def block(self) -> Size:
        """The storage tile of the file."""
        return Size(*self._dataset.block_shapes[self._indexes[0] - 1])

    @property
    def bands(self) -> int:
        """The number of bands that `read` gives."""
        return len(self._indexes) if self._lookup is None else len(self._lookup)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number type that `read` gives."""
        return self._picture_dtype if self._lookup is None else self._lookup.dtype

    @property
    def nodata(self) -> float | None:
        """The bands' nodata value; None where a palette was expanded, as it is an index.

        None, too, of integers whose bands differ in it or whose value GDAL does not tell: they
        are read as floats, NaN where they are nodata.
        """
        is_index = self._lookup is not None
        is_nan = self._picture_dtype != self._stored_dtype
        return None if is_index or is_nan else self._nodata_values[0]

    @property
    def has_mask(self) -> bool:
        """Whether some pixels may be no measurements."""
        has_nodata = any(value is not None for value in self._nodata_values)
        has_mask = self._mask_band is not None or self._visible is not None
        return has_mask or has_nodata or self._picture_dtype.kind == "f"

    @property
    def values_per_pixel(self) -> int:
        """How many numbers a pixel has while it is read."""
        return max(self.bands, len(self._indexes))

    @property
    def overviews(self) -> Sequence[int]:
        """How many times smaller each overview is, about; none if bands differ in theirs."""
        indexes = {*self._indexes, *filter(None, [self._mask_band])}
        levels = {tuple(self._dataset.overviews(index)) for index in indexes}
        return sorted(levels.pop()) if len(levels) == 1 else ()

    def overview(self, number: int) -> "StoredPicture":
        """One of them, opened beside this one.

        Raises:
            RasterError: If it cannot be opened.
        """
        dataset = open_dataset(self.path, overview_level=number)
        return StoredPicture(dataset, self._name, *self._options)

    def read(self, window: Window) -> Masked:
        """The pixels of a window, and which are measurements.

        Raises:
            GDAL's errors, `glnet.raster.gdal.GDAL_ERRORS`, as they are.
        """
        place = FileWindow(window.column, window.row, window.size.width, window.size.height)
        with reading_settings():
            pixels: Pixels = self._dataset.read(
                self._indexes, window=place, out_dtype=self._stored_dtype
            )
            valid = self._read_mask(place)
            pixels = pixels.astype(self._picture_dtype, copy=False)
            if self._has_unknown:
                is_nodata = self._dataset.read_masks(self._indexes, window=place) == 0
                pixels[is_nodata] = np.nan
        if self._visible is not None:
            visible = self._visible[pixels[0]]
            valid = visible if valid is None else valid & visible
        valid = masked(pixels, self._nodata_values, valid).valid
        return Masked(pixels if self._lookup is None else self._lookup[:, pixels[0]], valid)

    def close(self) -> None:
        """Close the dataset."""
        self._dataset.close()

    def _bands_differ(self) -> bool:
        """Whether integers that are looked at band by band have different nodata values."""
        is_by_band = self._lookup is None and self._stored_dtype != np.uint8
        is_integer = self._stored_dtype.kind != "f"
        return is_by_band and is_integer and len(set(self._nodata_values)) > 1

    def _read_mask(self, place: FileWindow) -> Valid | None:
        """What the file's transparency or its mask says."""
        if self._mask_band is None:
            return None
        if self._mask_band == OWN_MASK:
            return np.asarray(self._dataset.read_masks(self._indexes[0], window=place) != 0)
        return np.asarray(self._dataset.read(self._mask_band, window=place) != 0)


def _picture_bands(dataset: DatasetReader, name: str, bands: Sequence[int] | None) -> list[int]:
    kinds = list(zip(dataset.indexes, dataset.colorinterp, strict=True))
    if bands is not None:
        return named_bands(bands, [f"{index} {kind.name}" for index, kind in kinds], name)
    indexes = [index for index, kind in kinds if kind is not ColorInterp.alpha]
    if not indexes:
        raise RasterError(f"{name} has no bands besides transparency; expected at least one")
    return indexes


def named_bands(bands: Sequence[int] | None, known: Sequence[str], name: str) -> list[int]:
    """The chosen bands, counted from 1; all that are known if None.

    Raises:
        RasterError: If none is chosen, or one that is not known.
    """
    if bands is None:
        return list(range(1, len(known) + 1))
    if not bands:
        raise RasterError(f"{name} is to be read without any band; name at least one")
    missing = [str(band) for band in bands if not 1 <= band <= len(known)]
    if missing:
        raise RasterError(
            f"{name} has no band {', '.join(missing)}; bands are counted from 1, and it has "
            f"{', '.join(known)}"
        )
    return list(bands)


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


def _has_unknown_nodata(dataset: DatasetReader, indexes: list[int]) -> bool:
    """Whether a band has a nodata value that rasterio does not tell, or not to the last digit.

    It is told as a float, which not every integer of 64 bits is.
    """
    return any(
        MaskFlags.nodata in dataset.mask_flag_enums[index - 1]
        and ((value := dataset.nodatavals[index - 1]) is None or _is_rounded(value, dtype))
        for index, dtype in zip(dataset.indexes, dataset.dtypes, strict=True)
        if index in indexes
    )


def _is_rounded(value: float, dtype: str) -> bool:
    return dtype in {"int64", "uint64"} and abs(value) > EXACT_INTEGERS


def _common_dtype(dataset: DatasetReader, indexes: list[int], name: str) -> np.dtype[Any]:
    kinds = sorted({dataset.dtypes[index - 1] for index in indexes})
    if any(kind.startswith("complex") for kind in kinds):
        raise RasterError(
            f"{name} has complex pixels ({', '.join(kinds)}); expected integers or floats: "
            "write its magnitude or its parts to bands first"
        )
    return np.result_type(*kinds)
