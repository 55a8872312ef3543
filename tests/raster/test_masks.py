"""What files say of pixels that are no measurements: nodata, transparency, masks, no numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp

from glnet.geometry import Size, Window
from glnet.raster import (
    UPRIGHT,
    ArrayRaster,
    Masked,
    Palette,
    RasterPart,
    Turn,
    TurnedRaster,
    Valid,
    masked_reduced,
    masked_thumbnail,
    open_raster,
    thumbnails,
    with_gaps,
)
from glnet.raster.protocol import whole

HEIGHT, WIDTH = 70, 90
WHOLE = Window(0, 0, Size(HEIGHT, WIDTH))
PART = Window(5, 8, Size(40, 50))

VALID: Valid = np.random.default_rng(1).random((HEIGHT, WIDTH)) < 0.7

GDAL_NODATA = 42113
"""GDAL's tag of a TIFF."""

KIND: dict[str, Any] = {
    "driver": "GTiff",
    "height": HEIGHT,
    "width": WIDTH,
    "transform": Affine(2, 0, 0, 0, -2, 0),
}


def _pixels(bands: int, dtype: str = "uint8") -> NDArray[Any]:
    return np.random.default_rng(2).integers(1, 200, (bands, HEIGHT, WIDTH)).astype(dtype)


def _write(path: Path, pixels: NDArray[Any], **more: object) -> Path:
    profile = KIND | {"count": len(pixels), "dtype": pixels.dtype} | more
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels)
    return path


def _assert_masked(path: Path, valid: Valid = VALID) -> None:
    with open_raster(path) as raster:
        assert raster.has_mask
        for window in (WHOLE, PART):
            found = raster.read_masked(window).valid
            assert found is not None
            assert np.array_equal(found, valid[window.slices])


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", 0), ("int16", -99), ("float32", -9999.0)])
def test_pixels_whose_bands_are_all_nodata_are_none(
    tmp_path: Path, dtype: str, nodata: float
) -> None:
    pixels = np.where(VALID, _pixels(3, dtype), nodata).astype(dtype)
    pixels[1, VALID] = nodata  # One band alone says nothing.

    _assert_masked(_write(tmp_path / "a.tif", pixels, nodata=nodata))


def test_nodata_that_is_no_number(tmp_path: Path) -> None:
    pixels = np.where(VALID, _pixels(2, "float32"), np.nan).astype(np.float32)

    _assert_masked(_write(tmp_path / "a.tif", pixels, nodata=np.nan))
    _assert_masked(_write(tmp_path / "b.tif", pixels))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_floats_that_are_no_numbers_are_no_measurements(value: float) -> None:
    pixels = np.ones((4, 5, 2), np.float32)
    pixels[1, 2] = value
    pixels[3, 3, 0] = value

    found = ArrayRaster(pixels).read_masked(Window(0, 0, Size(4, 5))).valid

    assert found is not None
    assert np.argwhere(~found).tolist() == [[1, 2]]


def test_a_value_that_pixels_cannot_have_matches_none() -> None:
    raster = ArrayRaster(np.zeros((4, 5), np.uint8), nodata=-9999)

    assert raster.read_masked(Window(0, 0, Size(4, 5))).valid is None


def test_transparency_says_where_there_is_a_picture(tmp_path: Path) -> None:
    alpha = np.where(VALID, 255, 0)[None]
    with_alpha = np.concatenate([_pixels(3), alpha]).astype(np.uint8)
    path = _write(tmp_path / "a.tif", with_alpha, photometric="rgb", alpha="yes")
    picture = tmp_path / "a.png"
    Image.fromarray(np.moveaxis(with_alpha, 0, 2)).save(picture)

    _assert_masked(path)
    _assert_masked(picture)
    with open_raster(path) as raster:
        assert raster.bands == 3


def _save_palette(path: Path, opacity: list[int]) -> Path:
    """Index 0 where there is a picture; 1 and 2 elsewhere."""
    indices = np.where(VALID, 0, _pixels(1)[0] % 2 + 1).astype(np.uint8)
    picture = Image.fromarray(indices, "P")
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    picture.save(path, transparency=bytes(opacity))
    return path


def test_transparent_colours_of_a_palette_are_no_measurements(tmp_path: Path) -> None:
    path = _save_palette(tmp_path / "a.png", [1, 0, 0])

    _assert_masked(path)
    with open_raster(path) as raster:
        assert raster.bands == 3
    with open_raster(path, Palette.KEEP) as labels:  # Of a mask, they are classes.
        assert labels.read_masked(WHOLE).valid is None


def test_a_palette_of_transparent_colours_alone_says_nothing(tmp_path: Path) -> None:
    with open_raster(_save_palette(tmp_path / "a.png", [0, 0, 0])) as raster:
        assert not raster.has_mask


@pytest.mark.parametrize("internal", [True, False])
def test_a_mask_beside_or_inside_the_file(tmp_path: Path, internal: bool) -> None:
    path = tmp_path / "a.tif"
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal),
        rasterio.open(path, "w", **KIND, count=3, dtype="uint8") as file,
    ):
        file.write(_pixels(3))
        file.write_mask(VALID)

    _assert_masked(path)


def test_a_mask_turns_with_the_picture(tmp_path: Path) -> None:
    pixels = np.moveaxis(np.concatenate([_pixels(3), np.where(VALID, 255, 0)[None]]), 0, 2)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "a.png", exif=exif)

    with open_raster(tmp_path / "a.png") as raster:
        found = raster.read_masked(Window(0, 0, raster.size)).valid

    assert found is not None
    assert np.array_equal(found, np.rot90(VALID, -1))


def test_files_without_any_of_it_have_none(tmp_path: Path) -> None:
    with open_raster(_write(tmp_path / "a.tif", _pixels(3))) as raster:
        assert not raster.has_mask
        assert raster.read_masked(WHOLE).valid is None


def test_a_fourth_band_that_is_no_transparency_masks_nothing(tmp_path: Path) -> None:
    pixels = _pixels(4)
    pixels[3, ~VALID] = 0
    path = _write(tmp_path / "a.tif", pixels, photometric="minisblack")
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [*[ColorInterp.gray], *[ColorInterp.undefined] * 3]

    with open_raster(path) as raster:
        assert raster.bands == 4
        assert raster.read_masked(WHOLE).valid is None


@pytest.mark.parametrize("turn", [UPRIGHT, Turn(1), Turn(2, mirrored=True), Turn(3, mirrored=True)])
def test_views_show_the_mask_where_they_show_the_pixels(turn: Turn) -> None:
    pixels = np.moveaxis(_pixels(1), 0, 2)
    raster = ArrayRaster(np.where(VALID[..., None], pixels, 0).astype(np.uint8), nodata=0)
    for view in (TurnedRaster(raster, turn), RasterPart(raster, PART)):
        window = Window(3, 4, Size(20, 30))

        found = view.read_masked(window)

        assert found.valid is not None
        assert np.array_equal(found.valid, found.pixels[0] != 0)


def _one_band_lost(dtype: str, nodata: float) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Three bands of which the second is nodata outside of `VALID`, (height, width, bands)."""
    pixels = np.moveaxis(_pixels(3, dtype), 0, 2).copy()
    is_lost = np.zeros(pixels.shape, np.bool_)
    is_lost[..., 1] = ~VALID
    pixels[is_lost] = nodata
    return pixels, is_lost


@pytest.mark.parametrize("nodata", [-9999.0, -3.4e38, 1e30])
def test_floats_that_are_nodata_in_one_band_are_no_number(tmp_path: Path, nodata: float) -> None:
    pixels, is_lost = _one_band_lost("float32", nodata)
    path = _write(tmp_path / "a.tif", np.moveaxis(pixels, 2, 0), nodata=nodata)

    with open_raster(path) as file:
        for raster in (file, ArrayRaster(pixels, nodata=nodata)):
            found = raster.read_masked(WHOLE)

            assert found.valid is None
            expected = np.where(is_lost, np.nan, pixels)
            assert np.array_equal(np.moveaxis(found.pixels, 0, 2), expected, equal_nan=True)
    assert (pixels[is_lost] == np.float32(nodata)).all()  # What was handed in stays.


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "uint32", "int64"])
@pytest.mark.parametrize("is_tiled", [False, True])
def test_integers_that_are_nodata_in_one_band_enter_as_nan_does(
    dtype: str, is_tiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodata = np.iinfo(dtype).max if dtype == "uint16" else 30_000
    pixels, is_lost = _one_band_lost(dtype, nodata)
    pixels[:30, :20], is_lost[:30, :20] = nodata, True  # In all bands.
    floats = np.where(is_lost, np.nan, pixels).astype(np.float32)
    ints, gaps = ArrayRaster(pixels, nodata=nodata), ArrayRaster(floats)
    if is_tiled:
        monkeypatch.setattr(thumbnails, "columns_of_blocks", lambda *_: (16, 16))

    for size in (Size(9, 11), Size(70, 31), Size(100, 120)):
        _assert_same(masked_thumbnail(ints, size), masked_thumbnail(gaps, size))
    for factor in (2, 3):
        _assert_same(masked_reduced(ints, PART, factor), masked_reduced(gaps, PART, factor))
    _assert_same(with_gaps(ints.read_masked(PART), nodata), gaps.read_masked(PART))


def _assert_same(one: Masked, other: Masked) -> None:
    assert one.pixels.dtype == other.pixels.dtype == np.float32
    shape = one.pixels.shape[1:]
    valid = np.ones(shape, np.bool_) if one.valid is None else one.valid
    assert np.array_equal(valid, np.ones(shape, np.bool_) if other.valid is None else other.valid)
    assert np.array_equal(one.pixels[:, valid], other.pixels[:, valid], equal_nan=True)


def test_one_band_of_bytes_that_is_nodata_is_dark() -> None:
    pixels, _ = _one_band_lost("uint8", 0)
    dark, none = ArrayRaster(pixels, nodata=0), ArrayRaster(pixels)

    assert with_gaps(dark.read_masked(WHOLE), 0).pixels.dtype == np.uint8
    assert np.array_equal(
        masked_reduced(dark, WHOLE, 2).pixels, masked_reduced(none, WHOLE, 2).pixels
    )


def test_a_band_without_any_measurement_has_no_mean() -> None:
    pixels = np.full((32, 32, 2), 7, np.int16)
    pixels[:16, :16, 0] = -99
    raster = ArrayRaster(pixels, nodata=-99)

    for found in (masked_thumbnail(raster, Size(4, 4)), masked_reduced(raster, whole(raster), 8)):
        assert found.valid is None
        assert np.isnan(found.pixels[0, 0, 0])
        assert (found.pixels[0, 3] == 7).all()
        assert (found.pixels[1] == 7).all()


@pytest.mark.parametrize("dtype", ["uint64", "int64"])
def test_a_nodata_value_of_64_bits(tmp_path: Path, dtype: str) -> None:
    nodata = np.iinfo(dtype).max
    pixels, is_lost = _one_band_lost(dtype, nodata)
    pixels[:30, :20], is_lost[:30, :20] = nodata, True
    tag = (GDAL_NODATA, "s", 0, str(nodata), True)  # As GDAL writes it, and rasterio cannot.
    tifffile.imwrite(
        *(tmp_path / "a.tif", pixels),
        photometric="minisblack",
        planarconfig="contig",
        extratags=[tag],
    )

    with open_raster(tmp_path / "a.tif") as raster:
        assert raster.has_mask
        found = raster.read_masked(WHOLE)

    assert found.valid is not None
    assert np.array_equal(~found.valid, is_lost.all(axis=2))
    assert found.pixels.dtype == raster.dtype
    entering = with_gaps(found, raster.nodata).pixels[:, found.valid]
    expected = np.where(is_lost, np.nan, pixels)[found.valid].T
    assert np.array_equal(entering, expected, equal_nan=True)


def test_bands_with_different_nodata_values(tmp_path: Path) -> None:
    pixels, path = np.arange(24, dtype=np.int16).reshape(2, 3, 4) % 12, tmp_path / "a.img"
    shape = {"height": 3, "width": 4, "count": 2, "dtype": "int16"}
    with rasterio.open(path, "w", driver="HFA", transform=Affine.scale(2), **shape) as file:
        file.write(pixels)
        file._set_nodatavals([4, 5])  # There is no public way to write what some files have.
    expected = pixels.astype(np.float32)
    expected[0, 1, 0] = expected[1, 1, 1] = np.nan

    with open_raster(path) as raster:
        found = raster.read_masked(Window(0, 0, raster.size))

        assert (raster.dtype, raster.nodata) == (found.pixels.dtype, None)
    assert found.valid is None
    assert np.array_equal(found.pixels, expected, equal_nan=True)
