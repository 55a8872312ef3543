"""Files without random access, copied once to one that has it."""

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.crs import CRS

from glnet.errors import OutputError, RasterError
from glnet.geometry import Size, Window
from glnet.raster import (
    Access,
    Palette,
    RasterFile,
    open_raster,
    reading_cost,
    spooled,
    spooling,
    tile_file,
)
from glnet.raster.gdal import gdal_settings
from glnet.raster.stored import StoredPicture
from tests.raster.raster_files import noise, smooth_colours, write_tiff

PLACE: dict[str, Any] = {"crs": CRS.from_epsg(32633), "transform": Affine(2, 0, 50, 0, -2, 90)}
PATCH = Size(17, 40)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spool what is small, in rows of tiles of a few pixel rows."""
    monkeypatch.setattr(spooling, "KEPT_BYTES", 0)
    monkeypatch.setattr(spooling, "CACHE_BYTES", 0)
    monkeypatch.setattr(tile_file, "TILE_ROW_BYTES", 12_000)


def windows(size: Size) -> Iterator[Window]:
    yield Window(0, 0, size)
    for row in range(0, size.height - PATCH.height, 29):
        for column in range(0, size.width - PATCH.width, 31):
            yield Window(row, column, PATCH)


def assert_spools_to_the_same(path: Path, folder: Path, **options: Any) -> None:  # noqa: ANN401
    with open_raster(path, **options) as file, open_raster(path, **options) as plain:
        with spooled(file, folder, patch_side=8) as raster:
            assert not isinstance(raster, RasterFile)
            for what in ("name", "size", "bands", "dtype", "georeference", "nodata", "has_mask"):
                assert getattr(raster, what) == getattr(plain, what)
            is_float = plain.dtype.kind == "f"
            for window in windows(plain.size):
                found, expected = raster.read_masked(window), plain.read_masked(window)
                assert np.array_equal(found.pixels, expected.pixels, equal_nan=is_float)
                read = raster.read(window)
                assert np.array_equal(read, expected.pixels, equal_nan=is_float)
                assert (found.valid is None) == (expected.valid is None)
                if found.valid is not None and expected.valid is not None:
                    assert np.array_equal(found.valid, expected.valid)
            assert list(folder.iterdir()) == []
        assert list(folder.iterdir()) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_photos_as_they_are_displayed(
    tmp_path: Path, folder: Path, suffix: str, orientation: int
) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[274] = orientation
    smooth_colours(110, 150).save(path, exif=exif)

    assert_spools_to_the_same(path, folder)


def test_transparency(tmp_path: Path, folder: Path) -> None:
    pixels = noise(120, 90, 4)
    pixels[..., 3] *= noise(120, 90) > 40
    Image.fromarray(pixels).save(tmp_path / "a.png")

    assert_spools_to_the_same(tmp_path / "a.png", folder)
    assert_spools_to_the_same(tmp_path / "a.png", folder, bands=[4, 2])


def test_palettes(tmp_path: Path, folder: Path) -> None:
    picture = Image.fromarray(noise(100, 120) % 3)
    picture.putpalette([255, 0, 0, 0, 200, 10, 1, 2, 3])
    for suffix in ("png", "gif"):
        picture.save(tmp_path / f"a.{suffix}")

        assert_spools_to_the_same(tmp_path / f"a.{suffix}", folder)
        assert_spools_to_the_same(tmp_path / f"a.{suffix}", folder, palette=Palette.KEEP)


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("rows", [1, 8, 50])
@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", None), ("int16", 3), ("float32", 7.0)])
def test_striped_tiffs(
    tmp_path: Path, folder: Path, interleave: str, rows: int, dtype: str, nodata: float | None
) -> None:
    pixels = noise(3, 120, 300, dtype=dtype)
    pixels[:, 20:30] = 0 if nodata is None else nodata
    path = write_tiff(
        tmp_path / "a.tif",
        pixels,
        **PLACE,
        blockysize=rows,
        interleave=interleave,
        compress="LZW",
        nodata=nodata,
    )

    assert_spools_to_the_same(path, folder)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_every_row_is_read_once_in_the_order_of_the_file(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[274] = 6
    smooth_colours(130, 400).save(path, exif=exif)
    asked: list[Window] = []
    told: list[tuple[int, int]] = []
    read = StoredPicture.read

    def counted(picture: StoredPicture, window: Window) -> Any:  # noqa: ANN401
        asked.append(window)
        return read(picture, window)

    monkeypatch.setattr(StoredPicture, "read", counted)

    with (
        open_raster(path) as file,
        spooled(file, folder, lambda *done: told.append(done), patch_side=8) as raster,
    ):
        list(map(raster.read, windows(raster.size)))

    assert len(asked) > 5
    assert [row for window in asked for row in range(window.row, window.row_stop)] == list(
        range(130)
    )
    assert {(window.column, window.size.width) for window in asked} == {(0, 400)}
    assert told == [(window.row_stop, 130) for window in asked]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_the_file_is_read_from_disk_once(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    counter = Path("/proc/self/io")
    if not counter.exists():
        pytest.skip("this system does not count what is read")

    def read_so_far() -> int:
        found = re.search(r"rchar: (\d+)", counter.read_text())
        assert found
        return int(found[1])

    monkeypatch.setattr(tile_file, "TILE_ROW_BYTES", 1 << 18)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(noise(1200, 1500, 3)).save(path)

    with open_raster(path) as file:
        before = read_so_far()
        with spooled(file, folder):
            taken = read_so_far() - before

    # Going back by a row would decode, and so read, all from the start again.
    assert 0.9 < taken / path.stat().st_size < 1.3


def test_files_that_are_well_as_they_are_are_given_back(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    picture = smooth_colours(100, 100)
    picture.save(tmp_path / "small.png")
    picture.save(tmp_path / "strips.tif")
    tiles = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    write_tiff(tmp_path / "tiles.tif", noise(1, 64, 64), **tiles)

    for name in ("small.png", "strips.tif", "tiles.tif"):
        with open_raster(tmp_path / name) as file, spooled(file, folder) as raster:
            assert raster is file


def test_what_reading_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    write_tiff(tmp_path / "wide.tif", noise(3, 1, 60000), blockysize=1)
    long = {"height": 60000, "width": 40000, "count": 3, "dtype": "uint8", "SPARSE_OK": True}
    _sparse(tmp_path / "strips.tif", **long, blockysize=4)
    _sparse(tmp_path / "tiles.tif", **long, tiled=True)
    _sparse(tmp_path / "narrow.tif", **(long | {"width": 900}), blockysize=4)
    smooth_colours(100, 90).save(tmp_path / "photo.jpg")
    smooth_colours(100, 90).save(tmp_path / "progressive.jpg", progressive=True)
    smooth_colours(100, 90).save(tmp_path / "photo.webp")
    interlaced_pixel(tmp_path / "interlaced.png")

    def cost(name: str) -> tuple[Access, int, int, bool]:
        with open_raster(tmp_path / name) as raster:
            of = reading_cost(raster)
            return of.access, of.decoded_bytes, of.decoder_bytes, of.pays

    assert cost("wide.tif") == (Access.STRIPS, 180_000, 0, False)
    assert cost("strips.tif") == (Access.STRIPS, 60000 * 40000 * 3, 0, True)
    assert cost("tiles.tif") == (Access.WINDOWS, 60000 * 40000 * 3, 0, False)
    assert cost("narrow.tif") == (Access.STRIPS, 60000 * 900 * 3, 0, False)
    assert cost("photo.jpg") == (Access.WHOLE, 27_000, 0, False)
    assert cost("progressive.jpg") == (Access.WHOLE, 27_000, 54_000, False)
    assert cost("interlaced.png") == (Access.WHOLE, 3, 3, False)
    assert cost("photo.webp") == (Access.WHOLE, 27_000, 27_000, False)


def interlaced_pixel(path: Path) -> None:
    """One pixel of colour: of Adam7's seven passes only the first has any."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 1)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(4))), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in parts
        )
    )


def _sparse(path: Path, **profile: Any) -> None:  # noqa: ANN401
    with gdal_settings(), rasterio.open(path, "w", driver="GTiff", **profile):
        pass


def cut_short(path: Path) -> None:
    Image.fromarray(noise(300, 200, 3)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_a_damaged_file_is_an_error_with_its_rows(tmp_path: Path, folder: Path) -> None:
    cut_short(tmp_path / "a.png")

    with (
        open_raster(tmp_path / "a.png") as file,
        pytest.raises(RasterError, match=r"a\.png cannot be read at rows 1[0-9]+\.\.") as caught,
        spooled(file, folder),
    ):
        pass
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []


def test_all_above_the_damage_can_be_kept(tmp_path: Path, folder: Path) -> None:
    cut_short(tmp_path / "a.png")
    lost: list[Window] = []

    with (
        open_raster(tmp_path / "a.png") as file,
        spooled(file, folder, on_damage=lost.append) as raster,
    ):
        found = raster.read_masked(Window(0, 0, raster.size))

        assert raster.has_mask
    (below,) = lost
    assert 100 < below.row < 200
    assert below == Window(below.row, 0, Size(300 - below.row, 200))
    assert found.valid is not None
    assert np.array_equal(found.valid, np.arange(300)[:, None].repeat(200, 1) < below.row)
    expected = np.moveaxis(noise(300, 200, 3), 2, 0)
    assert np.array_equal(found.pixels[:, : below.row], expected[:, : below.row])


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_small_file_keeps_what_is_above_the_damage(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.undo()
    path, lost = tmp_path / f"a.{suffix}", list[Window]()
    Image.fromarray(noise(300, 200, 3)).save(path)
    content = path.read_bytes()
    with open_raster(path) as file:
        expected = file.read(Window(0, 0, file.size))
        with spooled(file, folder, on_damage=lost.append) as raster:
            assert raster is file
    path.write_bytes(content[: len(content) // 2])

    with (
        open_raster(path) as file,
        spooled(file, folder, on_damage=lost.append) as raster,
    ):
        found = raster.read_masked(Window(0, 0, raster.size))

    (window,) = lost
    assert 120 < window.row < 155
    assert window == Window(window.row, 0, Size(300 - window.row, 200))
    assert found.valid is not None
    assert np.array_equal(found.valid[:, 0], np.arange(300) < window.row)
    assert np.array_equal(found.pixels[:, :120], expected[:, :120])


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    smooth_colours(100, 100).save(tmp_path / "a.png")

    with (
        open_raster(tmp_path / "a.png") as file,
        pytest.raises(OutputError, match="another folder"),
        spooled(file, tmp_path / "missing"),
    ):
        pass
