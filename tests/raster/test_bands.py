"""Naming the bands that are read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster import Palette, open_raster
from tests.raster.raster_files import noise, smooth_colours, write_tiff

WINDOW = Window(3, 2, Size(10, 12))


@pytest.mark.parametrize("bands", [[4, 3, 2], [2], [1, 1, 1], [5, 1]])
def test_named_bands_come_in_the_order_named(tmp_path: Path, bands: list[int]) -> None:
    pixels = noise(5, 20, 30, dtype="uint16")
    path = write_tiff(tmp_path / "a.tif", pixels)

    with open_raster(path, bands=bands) as raster:
        read = raster.read(WINDOW)

        assert raster.bands == len(bands)
    assert np.array_equal(read, pixels[np.array(bands) - 1][:, *WINDOW.slices])


def with_alpha(path: Path) -> NDArray[Any]:
    pixels = noise(4, 20, 30)
    pixels[3, 5:9] = 0
    write_tiff(path, pixels, photometric="rgb", alpha="yes")
    return pixels


def test_a_named_alpha_band_is_pixels_and_masks_nothing(tmp_path: Path) -> None:
    pixels = with_alpha(tmp_path / "a.tif")

    with open_raster(tmp_path / "a.tif", bands=[4, 1]) as raster:
        found = raster.read_masked(WINDOW)

        assert not raster.has_mask
    assert found.valid is None
    assert np.array_equal(found.pixels, pixels[[3, 0]][:, *WINDOW.slices])


def test_an_alpha_band_that_is_not_named_still_masks(tmp_path: Path) -> None:
    pixels = with_alpha(tmp_path / "a.tif")

    with open_raster(tmp_path / "a.tif", bands=[3, 2]) as raster:
        found = raster.read_masked(WINDOW)

    assert found.valid is not None
    assert np.array_equal(found.valid, pixels[3][WINDOW.slices] != 0)


def test_only_named_bands_say_what_is_nodata(tmp_path: Path) -> None:
    pixels = np.ones((2, 6, 6), np.uint8)
    pixels[0, 2, 3] = 0
    path = write_tiff(tmp_path / "a.tif", pixels, nodata=0)
    window = Window(0, 0, Size(6, 6))

    with open_raster(path) as both, open_raster(path, bands=[1]) as first:
        assert both.read_masked(window).valid is None
        found = first.read_masked(window).valid

    assert found is not None
    assert np.argwhere(~found).tolist() == [[2, 3]]


def test_bands_of_a_decoded_picture(tmp_path: Path) -> None:
    picture = smooth_colours(20, 30)
    picture.save(tmp_path / "a.png")

    with open_raster(tmp_path / "a.png", bands=(3, 1)) as raster:
        read = raster.read(WINDOW)

    assert np.array_equal(np.moveaxis(read, 0, 2), np.asarray(picture)[WINDOW.slices][..., [2, 0]])


def test_bands_of_a_palette_are_its_colours_or_its_indices(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    indices = noise(9, 7) % 3
    picture = Image.fromarray(indices)
    picture.putpalette([255, 0, 0, 0, 200, 10, 1, 2, 3])
    picture.save(path)
    window = Window(0, 0, Size(9, 7))

    with open_raster(path, bands=[3, 2]) as expanded:
        colours = expanded.read(window)
        assert expanded.bands == 2
    with open_raster(path, Palette.KEEP, [1]) as kept:
        assert np.array_equal(kept.read(window)[0], indices)

    table = np.array([[255, 0, 0], [0, 200, 10], [1, 2, 3]])
    assert np.array_equal(np.moveaxis(colours, 0, 2), table[indices][..., [2, 1]])
    with pytest.raises(RasterError, match=r"no band 2; .* has 1 palette"):
        open_raster(path, Palette.KEEP, [1, 2])
    with pytest.raises(RasterError, match=r"no band 4; .* has 1, 2, 3"):
        open_raster(path, bands=[4])


@pytest.mark.parametrize("band", [0, -1, 5])
def test_a_missing_band_is_refused_with_those_there_are(tmp_path: Path, band: int) -> None:
    with_alpha(tmp_path / "a.tif")
    expected = rf"a\.tif has no band {band}; .* it has 1 red, 2 green, 3 blue, 4 alpha"

    with pytest.raises(RasterError, match=expected):
        open_raster(tmp_path / "a.tif", bands=[1, band])


def test_no_bands_at_all_are_refused(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(1, 4, 4))

    with pytest.raises(RasterError, match="at least one"):
        open_raster(path, bands=[])
