"""Thumbnails of files that keep smaller copies of themselves."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rasterio._env import get_gdal_config
from rasterio.enums import Resampling
from rasterio.shutil import copy

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster import (
    ArrayRaster,
    ForgivingRaster,
    LabelWriter,
    Masked,
    RasterPart,
    TissueRaster,
    Turn,
    TurnedRaster,
    masked_thumbnail,
    open_raster,
    shrunk,
)
from glnet.raster.gdal import gdal_settings, small_cache
from glnet.raster.overviews import part_of_overview
from tests.raster.raster_files import damage_block, noise, smooth_colours, write_tiff

HEIGHT, WIDTH = 640, 960
SMALL = Size(20, 30)
TILED: dict[str, Any] = {
    "tiled": True,
    "blockxsize": 64,
    "blockysize": 64,
    "photometric": "rgb",
    "transform": Affine(2, 0, 50, 0, -2, 90),
}


def add_overviews(path: Path, *factors: int, how: Resampling = Resampling.average) -> None:
    with gdal_settings(), rasterio.open(path, "r+") as file:
        file.build_overviews(factors or (2, 4, 8), how)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = write_tiff(tmp_path / "a.tif", noise(3, HEIGHT, WIDTH), **TILED)
    add_overviews(path)
    return path


def overview_of(path: Path, number: int) -> NDArray[Any]:
    with gdal_settings(), rasterio.open(path, OVERVIEW_LEVEL=number) as file:
        pixels: NDArray[Any] = file.read()
        return pixels


def assert_same(found: Masked, expected: Masked) -> None:
    assert np.array_equal(found.pixels, expected.pixels)
    assert (found.valid is None) == (expected.valid is None)
    if found.valid is not None and expected.valid is not None:
        assert np.array_equal(found.valid, expected.valid)


@pytest.mark.parametrize(
    ("size", "factor"),
    [
        (Size(20, 30), 8),
        (Size(21, 30), 4),
        (Size(40, 60), 4),
        (Size(40, 61), 2),
        (Size(80, 120), 2),
        (Size(80, 121), None),
        (Size(320, 10), None),
    ],
)
def test_the_smallest_overview_with_four_pixels_for_each_is_read(
    path: Path, size: Size, factor: int | None
) -> None:
    with open_raster(path) as raster:
        found = shrunk(raster, size)
        itself = masked_thumbnail(raster, size, overviews=False)

    assert found.overview == factor
    expected = itself
    if factor is not None:
        pixels = np.moveaxis(overview_of(path, [2, 4, 8].index(factor)), 0, 2)
        expected = masked_thumbnail(ArrayRaster(pixels), size)
        assert not np.array_equal(itself.pixels, expected.pixels)
    assert_same(Masked(*found[:2]), expected)


def test_overviews_can_be_left_alone(path: Path) -> None:
    with open_raster(path) as raster:
        found = shrunk(raster, SMALL, overviews=False)

    expected = masked_thumbnail(ArrayRaster(np.moveaxis(noise(3, HEIGHT, WIDTH), 0, 2)), SMALL)
    assert found.overview is None
    assert np.array_equal(found.pixels, expected.pixels)


def test_windows_use_an_overview_where_their_edges_fall_on_it(path: Path) -> None:
    on_edges = Window(160, 320, Size(320, 480))
    beside = Window(160, 321, Size(320, 480))

    with open_raster(path) as raster:
        found = shrunk(raster, Size(10, 15), on_edges)
        other = shrunk(raster, Size(10, 15), beside)

    pixels = overview_of(path, 2)[:, 20:60, 40:100]
    expected = masked_thumbnail(ArrayRaster(np.moveaxis(pixels, 0, 2)), Size(10, 15))
    assert (found.overview, other.overview) == (8, None)
    assert np.array_equal(found.pixels, expected.pixels)


lengths = st.integers(1, 5000)


@given(lengths, st.integers(1, 64), st.data())
def test_a_part_of_an_overview_covers_the_same_share(
    length: int, factor: int, data: st.DataObject
) -> None:
    fewer = -(-length // factor)
    row = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(row + 1, length))

    part = part_of_overview(Window(row, 0, Size(stop - row, 7)), Size(length, 7), Size(fewer, 7))

    if part is None:
        assert (row * fewer) % length or (stop * fewer) % length
    else:
        assert part.row * length == row * fewer
        assert part.row_stop * length == stop * fewer
        assert (part.column, part.column_stop) == (0, 7)


def test_a_whole_raster_is_a_whole_overview_whatever_is_left_over() -> None:
    whole = part_of_overview(Window(0, 0, Size(1003, 77)), Size(1003, 77), Size(126, 10))

    assert whole == Window(0, 0, Size(126, 10))


@pytest.mark.parametrize("kind", ["alpha", "nodata", "inside", "beside"])
def test_masks_come_from_the_overview(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.tif"
    pixels = noise(3, HEIGHT, WIDTH) + np.uint8(1)
    valid = np.zeros((HEIGHT, WIDTH), bool)
    valid[160:480, 320:640] = True
    if kind == "nodata":
        write_tiff(path, pixels * valid, nodata=0, **TILED)
    elif kind == "alpha":
        write_tiff(
            path, np.concatenate([pixels, valid[None] * np.uint8(255)]), alpha="yes", **TILED
        )
    else:
        write_tiff(path, pixels, **TILED)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=kind == "inside"), rasterio.open(path, "r+") as f:
            f.write_mask(valid)
    add_overviews(path)

    with open_raster(path) as raster:
        found = shrunk(raster, SMALL)

    assert found.overview == 8
    assert found.valid is not None
    inner, outer = np.zeros((2, SMALL.height, SMALL.width), bool)
    inner[6:14, 11:19] = outer[4:16, 9:21] = True
    assert np.all(found.valid[inner])
    assert not np.any(found.valid[~outer])
    assert found.pixels[:, ~outer].max() == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_overviews_are_turned_as_the_picture_is(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "a.tif"
    exif = Image.Exif()
    exif[274] = orientation
    smooth_colours(HEIGHT, WIDTH).save(path, exif=exif)
    add_overviews(path)

    with open_raster(path) as raster:
        size = Size(30, 20) if raster.size.height == WIDTH else SMALL
        found = shrunk(raster, size)
        itself = masked_thumbnail(raster, size, overviews=False)

    assert found.overview == 8
    assert np.abs(found.pixels.astype(int) - itself.pixels).max() <= 4


def test_a_turned_raster_has_turned_overviews(path: Path) -> None:
    turn = Turn(1, mirrored=True)

    with open_raster(path) as raster:
        upright = masked_thumbnail(raster, SMALL)
        found = shrunk(TurnedRaster(raster, turn), Size(30, 20))

    assert found.overview == 8
    difference = turn.apply(upright.pixels).astype(int) - found.pixels
    # 8-bit results are rounded after the rows, which are columns here.
    assert np.abs(difference).max() <= 1


def test_views_that_stand_for_the_raster_have_its_overviews(path: Path) -> None:
    with open_raster(path) as raster:
        expected = shrunk(raster, SMALL)
        for view in (ForgivingRaster(raster), TissueRaster(raster, np.ones((2, 2), bool))):
            found = shrunk(view, SMALL)
            assert found.overview == 8
            # Rounded as means with a mask are.
            assert np.abs(found.pixels.astype(int) - expected.pixels).max() <= 1
        assert shrunk(ForgivingRaster(ArrayRaster(noise(640, 960))), SMALL).overview is None


def test_a_part_is_read_itself(path: Path) -> None:
    with open_raster(path) as raster:
        assert shrunk(RasterPart(raster, Window(0, 0, raster.size)), SMALL).overview is None


def test_a_damaged_overview_can_be_borne(tmp_path: Path) -> None:
    path = damaged_overview(tmp_path)

    with open_raster(path) as raster:
        found = shrunk(ForgivingRaster(raster), SMALL)

    assert found.overview == 4
    assert found.valid is not None
    assert 0 < np.sum(found.valid) < SMALL.area


def test_bands_and_palettes_are_chosen_there_too(tmp_path: Path, path: Path) -> None:
    with open_raster(path, bands=[3, 1]) as raster:
        found = shrunk(raster, SMALL)
    with open_raster(path) as raster:
        expected = shrunk(raster, SMALL).pixels[[2, 0]]

    assert found.overview == 8
    assert np.array_equal(found.pixels, expected)
    colours = tmp_path / "palette.tif"
    write_tiff(colours, noise(1, HEIGHT, WIDTH) % 2, **(TILED | {"photometric": "palette"}))
    with gdal_settings(), rasterio.open(colours, "r+") as file:
        file.write_colormap(1, {0: (10, 20, 30, 255), 1: (50, 60, 70, 255)})
    add_overviews(colours, how=Resampling.nearest)
    with open_raster(colours) as raster:
        of_colours = shrunk(raster, SMALL)
    assert of_colours.overview == 8
    assert np.array_equal(of_colours.pixels[1], of_colours.pixels[0] + 10)


def test_jpeg_2000_and_cogs_have_them_by_nature(tmp_path: Path, path: Path) -> None:
    for driver, name in (("JP2OpenJPEG", "a.jp2"), ("COG", "b.tif")):
        with gdal_settings():
            copy(
                path,
                tmp_path / name,
                driver=driver,
                **({"BLOCKSIZE": 128} if name[0] == "b" else {}),
            )

        with open_raster(tmp_path / name) as raster:
            assert shrunk(raster, SMALL).overview is not None


def damaged_overview(folder: Path) -> Path:
    path = write_tiff(folder / "a.tif", noise(3, HEIGHT, WIDTH), compress="LZW", **TILED)
    with rasterio.Env(COMPRESS_OVERVIEW="LZW"):
        add_overviews(path, 4)
    damage_block(path, 0, 0, overview=0)
    return path


def test_a_damaged_overview_is_an_error_that_says_so(tmp_path: Path) -> None:
    with (
        open_raster(damaged_overview(tmp_path)) as raster,
        pytest.raises(RasterError, match=r"the overview of .*a\.tif cannot be read at rows"),
    ):
        masked_thumbnail(raster, SMALL)


def test_files_without_overviews_have_none(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(3, HEIGHT, WIDTH), **TILED)

    with open_raster(path) as raster:
        assert raster.overviews == []
        assert shrunk(raster, SMALL).overview is None


def test_making_overviews_leaves_the_cache_as_large_as_it_was(tmp_path: Path) -> None:
    before = get_gdal_config("GDAL_CACHEMAX")

    with LabelWriter(tmp_path / "labels.tif", Size(600, 1100)) as writer:
        writer.write(np.zeros((600, 1100), np.uint8))

    assert get_gdal_config("GDAL_CACHEMAX") == before
    with suppress(KeyError), small_cache(1 << 20):
        assert get_gdal_config("GDAL_CACHEMAX") == 1 << 20
        raise KeyError
    assert get_gdal_config("GDAL_CACHEMAX") == before
