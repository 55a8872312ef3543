"""What files say of pixels that are no measurements: nodata, transparency, masks, no numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp

from glnet.geometry import Size, Window
from glnet.raster import UPRIGHT, ArrayRaster, RasterPart, Turn, TurnedRaster, Valid, open_raster

HEIGHT, WIDTH = 70, 90
WHOLE = Window(0, 0, Size(HEIGHT, WIDTH))
PART = Window(5, 8, Size(40, 50))

VALID: Valid = np.random.default_rng(1).random((HEIGHT, WIDTH)) < 0.7

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
