"""Probabilities on disk, written strip by strip: GeoTIFFs of bytes that show as 0..1."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling

from glnet.errors import OutputError
from glnet.geometry import Size, Window
from glnet.raster.protocol import Georeference
from glnet.raster.writing.formats import TIFF_SUFFIXES, Content, Format
from glnet.raster.writing.output import check_destination
from glnet.raster.writing.tile_writer import Bytes, TileWriter

SCORE_SUFFIXES = TIFF_SUFFIXES

SCORE_STEPS = 254
"""The byte of probability 1."""

SCORE_NODATA = 255
"""The byte of a pixel without a probability."""

ROUNDING = 1e-3
"""By how much a probability may leave 0..1: sums in low precision."""

CONFIDENCE = "confidence"
"""What the band of the winning class's probability is called."""


class ScoreWriter(TileWriter):
    """Writes probabilities from the top down; the file appears, checked, when the block ends well.

    A probability p is stored as the byte round(254 p), with the scale 1/254, so that programs which
    obey a band's scale show 0..1; 255 is nodata. See `TileWriter` for how, and for the memory:
    that of `TileWriter`. Overviews hold means, nodata not counted.

    Args:
        path: Where to, ".tif" or ".tiff".
        size: Height and width of the whole raster.
        georeference: Where it lies on Earth.
        band_names: A name for every band: those of the classes, or the one of a confidence.
        cog: Whether the GeoTIFF is to be a Cloud Optimized one.
        overwrite: Whether a file that is there already is replaced.

    Raises:
        OutputError: If nothing can be written there, or there are no bands.
    """

    def __init__(
        self,
        path: str | Path,
        size: Size,
        georeference: Georeference | None = None,
        band_names: Sequence[str] = (CONFIDENCE,),
        *,
        cog: bool = False,
        overwrite: bool = False,
    ) -> None:
        path = Path(path).absolute()
        check_destination(path, SCORE_SUFFIXES, overwrite)
        if not band_names:
            raise OutputError(f"{path} needs at least one band, got no names for bands")
        content = Content(
            resampling=Resampling.average,
            band_names=tuple(band_names),
            nodata=SCORE_NODATA,
            scale=1 / SCORE_STEPS,
        )
        form = Format.chosen(path, cog=cog)
        super().__init__(path, size, georeference, content, form, overwrite=overwrite)

    def write(
        self, scores: NDArray[np.floating[Any]], valid: NDArray[np.bool_] | None = None
    ) -> None:
        """Append the next rows.

        Args:
            scores: (bands, rows, width) of floats in 0..1, any number of rows; NaN is nodata.
            valid: (rows, width); where it is false, all bands are nodata.

        Raises:
            OutputError: As `encode_scores` and `write_encoded`.
        """
        self.write_encoded(encode_scores(scores, valid))

    def write_encoded(self, encoded: Bytes) -> None:
        """Append the next rows, which `encode_scores` has made: (bands, rows, width).

        Raises:
            OutputError: If called outside the with block, with another dtype or shape, with more
                rows than are left, or if the disk is full.
        """
        bands, width = self._content.bands, self._size.width
        if encoded.dtype != np.uint8:
            raise OutputError(
                f"encoded scores must be uint8, got {encoded.dtype}, for {self._path}"
            )
        if encoded.ndim != 3 or (encoded.shape[0], encoded.shape[2]) != (bands, width):
            raise OutputError(
                f"scores for {self._path} must be ({bands}, rows, {width}), got {encoded.shape}"
            )
        self._append(encoded)

    def write_window(self, window: Window, encoded: Bytes) -> None:
        """Write what `encode_scores` has made of a window whose edges are those of tiles, once.

        Raises:
            OutputError: If called outside the with block, with another dtype or shape, with other
                edges, or if the disk is full.
        """
        shape = (self._content.bands, window.size.height, window.size.width)
        if encoded.dtype != np.uint8 or encoded.shape != shape:
            raise OutputError(
                f"encoded scores for {self._path} must be uint8 of {shape}, got {encoded.dtype} of "
                f"{encoded.shape}"
            )
        self._put(window, encoded)


def encode_scores(
    scores: NDArray[np.floating[Any]], valid: NDArray[np.bool_] | None = None
) -> Bytes:
    """The bytes of probabilities, (bands, height, width): round(254 p), and 255 for nodata.

    Takes memory for two copies of one band of ``scores``, besides the bytes.

    Args:
        scores: (bands, height, width) of floats in 0..1; NaN becomes nodata.
        valid: (height, width); where it is false, all bands are nodata.

    Raises:
        OutputError: If a score lies outside 0..1, or the arrays do not fit.
    """
    if scores.ndim != 3 or scores.dtype.kind != "f":
        raise OutputError(
            f"scores must be floats of (bands, rows, width), got {scores.dtype} of {scores.shape}"
        )
    if valid is not None and (valid.shape != scores.shape[1:] or valid.dtype != np.bool_):
        raise OutputError(
            f"the mask of valid pixels must be bool of {scores.shape[1:]}, got {valid.dtype} of "
            f"{valid.shape}"
        )
    encoded = np.empty(scores.shape, dtype=np.uint8)
    for band, probabilities in zip(encoded, scores, strict=True):
        _encode_band(probabilities, band)
        if valid is not None:
            band[~valid] = SCORE_NODATA
    return encoded


def _encode_band(probabilities: NDArray[np.floating[Any]], band: Bytes) -> None:
    # What is no number is not outside.
    outside = (probabilities < -ROUNDING) | (probabilities > 1 + ROUNDING)
    if outside.any():
        raise OutputError(
            f"scores must be probabilities in 0..1, got {probabilities[outside][0]:g}; "
            "take the softmax first"
        )
    steps = np.rint(probabilities.astype(np.float32).clip(0, 1) * SCORE_STEPS)
    band[...] = np.where(np.isnan(steps), SCORE_NODATA, steps)
