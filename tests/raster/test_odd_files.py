"""Files of odd shapes, in odd places, full of odd numbers."""

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from glnet.geometry import Size, Window
from glnet.raster import (
    ExtendedRaster,
    ForgivingRaster,
    masked_thumbnail,
    open_raster,
    spooled,
    spooling,
    thumbnail,
)
from tests.raster.raster_files import noise, write_tiff

LONG = 300_000


@pytest.mark.parametrize("shape", [(1, LONG), (LONG, 1)])
@pytest.mark.parametrize("tiled", [True, False])
def test_lines_of_pixels(
    tmp_path: Path, shape: tuple[int, int], tiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = noise(2, *shape)
    path = write_tiff(tmp_path / "a.tif", pixels, tiled=tiled, compress="lzw")
    whole = Window(0, 0, Size(*shape))
    size = Size(*(min(of, 10) for of in shape))

    with open_raster(path) as raster:
        assert raster.size == Size(*shape)
        assert np.array_equal(raster.read(whole), pixels)
        small = thumbnail(raster, size)
        assert np.array_equal(ForgivingRaster(raster).read(whole), pixels)
        extended = ExtendedRaster(raster, 32).read(Window(0, 0, Size(32, 32)))
        monkeypatch.setattr(spooling, "CACHE_BYTES", 0)
        with spooled(raster, tmp_path) as copy:
            assert np.array_equal(copy.read(whole), pixels)
    # Means of tens of thousands of pixels of one noise.
    assert np.abs(small.astype(int) - 60).max() <= 2
    assert extended.shape == (2, 32, 32)


def test_a_rotated_map_keeps_its_transform(tmp_path: Path) -> None:
    turned = Affine(1.5, 0.8, 400000, 0.7, -1.2, 5000000)
    path = write_tiff(
        tmp_path / "a.tif", noise(1, 8, 9), crs=CRS.from_epsg(32633), transform=turned
    )

    with open_raster(path) as raster:
        assert raster.georeference.transform == turned
        assert raster.georeference.crs == CRS.from_epsg(32633)


def test_points_of_a_turned_photo_lie_where_they_did(tmp_path: Path) -> None:
    points = [GroundControlPoint(2, 3, 10, 20), GroundControlPoint(7, 8, 30, 40)]
    path = write_tiff(tmp_path / "a.tif", noise(1, 8, 9), gcps=points, crs=CRS.from_epsg(4326))

    with open_raster(path) as raster:
        found = raster.georeference

    assert [(of.row, of.col, of.x, of.y) for of in found.gcps] == [(2, 3, 10, 20), (7, 8, 30, 40)]
    assert found.gcps_crs == CRS.from_epsg(4326)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -9999.0])
def test_a_file_without_any_measurement(tmp_path: Path, value: float) -> None:
    pixels = np.full((2, 300, 200), value, np.float32)
    path = write_tiff(tmp_path / "a.tif", pixels, nodata=-9999.0)

    with open_raster(path) as raster:
        found = raster.read_masked(Window(0, 0, raster.size))
        small = masked_thumbnail(raster, Size(8, 8))

    assert found.valid is not None
    assert not found.valid.any()
    assert small.valid is not None
    assert not small.valid.any()
    assert np.all(small.pixels == 0)


def test_numbers_that_are_none_stay_where_they_are(tmp_path: Path) -> None:
    pixels = np.ones((1, 64, 64), np.float32)
    pixels[0, 0, 0], pixels[0, 63, 63], pixels[0, 20, 30] = np.nan, np.inf, -np.inf
    path = write_tiff(tmp_path / "a.tif", pixels)

    with open_raster(path) as raster:
        found = raster.read_masked(Window(0, 0, raster.size))
        small = masked_thumbnail(raster, Size(4, 4))

    assert found.valid is not None
    assert np.argwhere(~found.valid).tolist() == [[0, 0], [20, 30], [63, 63]]
    assert small.valid is None
    assert np.all(small.pixels == 1)


@pytest.mark.parametrize("words", ["EPSG:99999", 'NONSENSE["x"', "", "PROJCS[]"])
def test_a_place_in_coordinates_that_nobody_knows(tmp_path: Path, words: str) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, noise(3, 8, 9))
    (tmp_path / "a.tif.aux.xml").write_text(
        f"<PAMDataset><SRS>{words}</SRS><GeoTransform>100,2,0,900,0,-2</GeoTransform></PAMDataset>"
    )

    with open_raster(path) as raster:
        found = raster.georeference
        assert np.array_equal(raster.read(Window(0, 0, raster.size)), noise(3, 8, 9))

    assert found.crs is None
    assert found.transform == Affine(2, 0, 100, 0, -2, 900)


def test_a_description_of_the_place_that_is_cut_off(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(3, 8, 9))
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset><SRS>not xml <")

    with open_raster(path) as raster:
        assert raster.georeference.transform is None
        assert np.array_equal(raster.read(Window(0, 0, raster.size)), noise(3, 8, 9))
