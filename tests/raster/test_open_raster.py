from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from PIL import Image, ImageOps
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.io import MemoryFile

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster import Georeference, Palette, Raster, open_raster
from glnet.raster.gdal import gdal_settings
from tests.raster.raster_files import noise, read_all, smooth_colours, write_tiff

DATA = Path(__file__).parents[3] / "shared" / "data"
PLACE = Georeference(CRS.from_epsg(32633), Affine(0.5, 0, 400000, 0, -0.5, 5000000))


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
)
@pytest.mark.parametrize("bands", [1, 4, 7])
def test_geotiff_windows_equal_slices(tmp_path: Path, dtype: str, bands: int) -> None:
    pixels = noise(bands, 50, 70, dtype=dtype)
    # Without this, GDAL calls the last of four 8-bit bands alpha.
    profile = {"photometric": "minisblack", "tiled": True, "blockxsize": 16, "blockysize": 16}
    path = write_tiff(tmp_path / "a.tif", pixels, **profile)
    window = Window(13, 5, Size(31, 40))

    with open_raster(path) as raster:
        read = raster.read(window)

    assert read.dtype == np.dtype(dtype)
    assert np.array_equal(read, pixels[:, *window.slices])


def test_a_file_is_a_raster_and_carries_its_georeference(tmp_path: Path) -> None:
    place = {"crs": PLACE.crs, "transform": PLACE.transform, "nodata": 7}
    path = write_tiff(tmp_path / "a.tif", noise(2, 8, 9), **place)

    with open_raster(path) as file:
        raster: Raster = file

        assert (raster.name, raster.size, raster.bands) == (str(path), Size(8, 9), 2)
        assert raster.georeference == PLACE
        assert raster.nodata == 7
        assert file.palette is None


def test_ground_control_points_are_carried(tmp_path: Path) -> None:
    points = [GroundControlPoint(row, column, column, -row) for row, column in ((0, 0), (0, 9))]
    path = write_tiff(tmp_path / "a.tif", noise(1, 8, 9), gcps=points, crs=CRS.from_epsg(4326))

    with open_raster(path) as raster:
        place = raster.georeference

    assert place.transform is None
    assert place.gcps_crs == CRS.from_epsg(4326)
    assert [(point.row, point.col) for point in place.gcps] == [(0, 0), (0, 9)]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_orientation_is_obeyed(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[274] = orientation
    of_format: dict[str, dict[str, Any]] = {
        "jpg": {"quality": 95, "subsampling": 0},
        "webp": {"lossless": True},
    }
    smooth_colours(24, 40).save(path, exif=exif, **of_format.get(suffix, {}))
    with Image.open(path) as picture:
        displayed = np.moveaxis(np.asarray(ImageOps.exif_transpose(picture)), 2, 0)
    window = Window(3, 5, Size(11, 17))

    with open_raster(path) as raster:
        assert raster.size == Size(*displayed.shape[1:])
        read = raster.read(window)

    # Two JPEG decoders may round differently.
    difference = np.abs(read.astype(int) - displayed[:, *window.slices])
    assert difference.max() <= (2 if suffix == "jpg" else 0)


def test_a_damaged_orientation_is_upright(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    smooth_colours(6, 8).save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09")

    assert read_all(path).shape == (3, 6, 8)


def test_a_turned_photo_keeps_its_place_on_earth(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[274] = 6
    smooth_colours(24, 40).save(path, exif=exif)
    # A world file gives the centre of the upper left stored pixel.
    (tmp_path / "a.jgw").write_text("2\n0\n0\n-3\n101\n898.5\n")

    with open_raster(path) as raster:
        transform = raster.georeference.transform

    # Displayed, the first stored row is the last column.
    assert raster.size == Size(40, 24)
    assert transform == Affine(0, 2, 100, 3, 0, 900 - 24 * 3)


def test_orientation_of_a_georeferenced_tiff_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    exif = Image.Exif()
    exif[274] = 6
    smooth_colours(24, 40).save(path, exif=exif)
    (tmp_path / "a.tfw").write_text("2\n0\n0\n-3\n101\n898.5\n")

    with open_raster(path) as raster:
        assert raster.size == Size(24, 40)
        assert raster.georeference.transform == Affine(2, 0, 100, 0, -3, 900)


@pytest.mark.parametrize("suffix", ["png", "tif", "gif"])
def test_palettes_expand_to_colours_or_stay_indices(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    indices = noise(9, 7) % 3
    picture = Image.fromarray(indices)
    picture.putpalette([255, 0, 0, 0, 200, 10, 1, 2, 3])
    picture.save(path)

    colours = np.array([[255, 0, 0], [0, 200, 10], [1, 2, 3]])[indices]
    assert np.array_equal(read_all(path), np.moveaxis(colours, 2, 0))
    assert np.array_equal(read_all(path, Palette.KEEP)[0], indices)
    with open_raster(path, Palette.KEEP) as raster:
        assert raster.palette is not None
        assert raster.palette[1] == (0, 200, 10)


def test_nodata_of_an_expanded_palette_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, noise(1, 4, 4) % 2, nodata=1, photometric="palette")
    with gdal_settings(), rasterio.open(path, "r+") as file:
        file.write_colormap(1, {0: (9, 9, 9, 255), 1: (5, 5, 5, 255)})

    with open_raster(path) as expanded, open_raster(path, Palette.KEEP) as kept:
        assert (expanded.nodata, expanded.bands) == (None, 3)
        assert (kept.nodata, kept.bands) == (1, 1)


@pytest.mark.parametrize(("mode", "bands"), [("LA", 1), ("RGBA", 3)])
def test_transparency_is_no_band(tmp_path: Path, mode: str, bands: int) -> None:
    path = tmp_path / "a.png"
    picture = smooth_colours(8, 9).convert(mode)
    picture.save(path)

    pixels = read_all(path)

    assert np.array_equal(
        np.moveaxis(pixels, 0, 2), np.atleast_3d(np.asarray(picture))[..., :bands]
    )


def test_cmyk_photos_become_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    smooth_colours(16, 16).convert("CMYK").save(path, subsampling=0, quality=95)

    with Image.open(path) as picture:
        expected = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(np.moveaxis(read_all(path), 0, 2) - expected).max() <= 2


@pytest.mark.parametrize(("driver", "suffix"), [("COG", "tif"), ("JP2OpenJPEG", "jp2")])
def test_other_formats_read_the_same(tmp_path: Path, driver: str, suffix: str) -> None:
    pixels = noise(3, 40, 50)
    lossless = {"QUALITY": "100", "REVERSIBLE": "YES"} if suffix == "jp2" else {}
    source = write_tiff(tmp_path / "source.tif", pixels)
    copy = tmp_path / f"copy.{suffix}"
    with gdal_settings():
        rasterio.shutil.copy(source, copy, driver=driver, **lossless)

    assert np.array_equal(read_all(copy), pixels)


def test_sixteen_bit_png_keeps_its_values(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pixels = noise(5, 6, dtype="uint16") * 500
    Image.fromarray(pixels).save(path)

    assert np.array_equal(read_all(path)[0], pixels)


def test_virtual_paths_go_to_gdal() -> None:
    pixels = noise(1, 4, 5)
    shape: dict[str, Any] = {"count": 1, "height": 4, "width": 5, "dtype": "uint8"}
    with gdal_settings(), MemoryFile() as memory:
        with memory.open(driver="GTiff", **shape) as file:
            file.write(pixels)

        assert np.array_equal(read_all(memory.name), pixels)


@pytest.mark.parametrize("name", ["a b?c#d.tif", "GTIFF_DIR:1:a.tif", "é%20.tif"])
def test_names_mean_files_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pixels = noise(1, 4, 5)
    write_tiff(tmp_path / "plain.tif", pixels).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)

    assert np.array_equal(read_all(name), pixels)


def test_reading_leaves_nothing_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    smooth_colours(4, 4).save(path)

    read_all(path)

    assert list(tmp_path.iterdir()) == [path]


def test_threads_that_open_files_each_read_without_warnings(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    smooth_colours(16, 16).save(path)
    expected = read_all(path)

    with ThreadPoolExecutor(8) as pool:
        pictures = list(pool.map(lambda _: read_all(path), range(100)))

    assert all(np.array_equal(picture, expected) for picture in pictures)


@pytest.mark.skipif(not DATA.exists(), reason="the real images are not on this machine")
def test_a_real_photo_stored_upside_down_reads_as_displayed() -> None:
    path = min((DATA / "carrot_weed" / "images").iterdir())
    with Image.open(path) as picture:
        assert picture.getexif()[274] == 3
        displayed = np.moveaxis(np.asarray(ImageOps.exif_transpose(picture)), 2, 0)

    difference = np.abs(read_all(path).astype(np.int16) - displayed)

    # The decoders differ in how they enlarge the colours, which are stored at half the size.
    assert np.mean(difference) < 0.5
    assert np.quantile(difference, 0.99) <= 2


@pytest.mark.parametrize("name", ["photo.jpg", "photo.vrt", "photo.tif"])
def test_a_file_that_names_other_files_is_no_picture(tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8)).save(secret)
    (tmp_path / name).write_text(
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1">'
        f"<SimpleSource><SourceFilename>{secret}</SourceFilename></SimpleSource>"
        "</VRTRasterBand></VRTDataset>"
    )

    with pytest.raises(RasterError, match="only name other files or servers, such as VRT"):
        open_raster(tmp_path / name)


def test_control_points_are_carried_over_without_what_would_move_them(tmp_path: Path) -> None:
    points = [GroundControlPoint(0, 0, 5, 7), GroundControlPoint(5, 9, 6, 8)]
    place = {"gcps": points, "crs": CRS.from_epsg(4326)}
    path = write_tiff(tmp_path / "a.tif", noise(1, 8, 9), **place)
    with gdal_settings(), rasterio.open(path, "r+") as file:
        file.update_tags(AREA_OR_POINT="Point")

    with open_raster(path) as raster:
        assert len(raster.georeference.gcps) == 2
        assert not raster.georeference.is_point


def test_polynomials_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(1, 8, 9))
    with gdal_settings(), rasterio.open(path, "r+") as file:
        file.update_tags(ns="RPC", LINE_OFF="here", SAMP_OFF="4")

    with open_raster(path) as raster:
        assert raster.georeference == Georeference()
