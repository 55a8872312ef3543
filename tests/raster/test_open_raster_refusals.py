import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from PIL import Image
from rasterio.enums import ColorInterp

from glnet.errors import GeometryError, RasterError
from glnet.geometry import Size, Window
from glnet.raster import open_raster
from glnet.raster.gdal import gdal_settings, reason
from tests.raster.raster_files import noise, read_all, smooth_colours, write_tiff


def test_a_photo_that_is_too_large_to_be_progressive_is_told_what_to_do() -> None:
    words = (
        "Reading this image would require libjpeg to allocate at least 601048576 bytes. This is "
        "disabled since above the 524288000 threshold. You may override this restriction"
    )

    assert reason(OSError(words)) == (
        "Reading this image would require libjpeg to allocate at least 601048576 bytes. Save it as "
        "a JPEG that is not progressive, or as a tiled GeoTIFF."
    )


def truncate(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "jp2", "tif"])
def test_a_file_cut_short_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(noise(64, 64, 3)).save(path)
    truncate(path, 0.6)

    with pytest.raises(RasterError, match=rf"a\.{suffix} cannot be (read|opened)") as caught:
        read_all(path)
    assert "\n" not in str(caught.value)


def test_a_png_with_damaged_pixels_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(noise(64, 64, 3)).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    path.write_bytes(content)

    with pytest.raises(RasterError, match="may be damaged"):
        read_all(path)


def test_a_tiff_cut_short_reads_where_it_is_whole(tmp_path: Path) -> None:
    pixels = noise(1, 600, 600)
    source = write_tiff(tmp_path / "source.tif", pixels)
    path = tmp_path / "a.tif"
    with gdal_settings():
        rasterio.shutil.copy(source, path, driver="COG", BLOCKSIZE=128, OVERVIEWS="NONE")
    truncate(path, 0.7)

    with open_raster(path) as raster:
        top = Window(0, 0, Size(100, 600))
        assert np.array_equal(raster.read(top), pixels[:, :100])
        with pytest.raises(RasterError, match=r"rows 500\.\.600, columns 0\.\.600"):
            raster.read(Window(500, 0, Size(100, 600)))


NOT_PICTURES = {
    "words.txt": "pixels, mostly\n",
    "script.py": "print('hello')\n",
    "table.csv": "x,y,z\n0,0,1\n0,1,1\n1,0,1\n1,1,1\n",
    "grid.xyz": "0 0 1\n1 0 1\n0 1 1\n1 1 1\n",
    "shape.geojson": '{"type": "Point", "coordinates": [1, 2]}',
    "server.xml": "<GDAL_WMS><Service name='TMS'/></GDAL_WMS>",
    "fake.tif": "no TIFF at all",
    "fake.jpg": "no JPEG at all",
}


@pytest.mark.parametrize("name", sorted(NOT_PICTURES))
def test_what_is_no_picture_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(NOT_PICTURES[name])

    with pytest.raises(RasterError, match="cannot be opened as a picture") as caught:
        open_raster(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_empty_and_special_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.tif").touch()

    for path, message in (
        (tmp_path, "is a folder"),
        (tmp_path / "empty.tif", "is empty"),
        (tmp_path / "missing.tif", "does not exist"),
        (tmp_path / "empty.tif" / "below.tif", "cannot be read"),
        (tmp_path / ("x" * 300), "cannot be read"),
        (os.devnull, "no regular file"),
        ("a\0b", "cannot be read"),
        ("NETCDF:missing.nc:var", "does not exist"),
        ("s3://bucket/a.tif", "does not exist"),
        ("/vsimem/missing.tif", "cannot be opened"),
    ):
        with pytest.raises(RasterError, match=message):
            open_raster(path)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_pixels_are_refused(tmp_path: Path, dtype: str) -> None:
    path = write_tiff(tmp_path / "a.tif", np.ones((1, 4, 4), dtype=dtype))

    with pytest.raises(RasterError, match="complex pixels"):
        open_raster(path)


def test_transparency_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    shape: dict[str, Any] = {"count": 1, "height": 4, "width": 4, "dtype": "uint8"}
    with gdal_settings(), rasterio.open(path, "w", driver="GTiff", **shape) as file:
        file.colorinterp = [ColorInterp.alpha]

    with pytest.raises(RasterError, match="besides transparency"):
        open_raster(path)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_reading_after_close_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    smooth_colours(4, 4).save(path)
    raster = open_raster(path)
    window = Window(0, 0, raster.size)
    raster.read(window)

    raster.close()
    raster.close()

    with pytest.raises(RasterError, match="is closed"):
        raster.read(window)


def test_windows_beyond_the_edge_are_refused(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(1, 8, 9))

    with open_raster(path) as raster, pytest.raises(GeometryError, match=r"a\.tif \(8x9\)"):
        raster.read(Window(1, 0, Size(8, 9)))
