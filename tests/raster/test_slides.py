"""Slides, made here: pyramids as Aperio writes them and OME-TIFF."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile

from glnet.errors import GeometryError, RasterError
from glnet.geometry import Size, Window
from glnet.raster import (
    ForgivingRaster,
    Georeference,
    Raster,
    is_slide,
    masked_reduced,
    open_raster,
    open_slide,
    shrunk,
)
from glnet.raster.gdal import gdal_settings
from glnet.raster.slides.scanned import on_paper
from tests.raster.raster_files import noise, smooth_colours, write_tiff
from tests.raster.slide_files import MPP, TILE, drawn, write_ome, write_svs

WINDOWS = [
    Window(0, 0, Size(30, 50)),
    Window(7, 3, Size(21, 33)),
    Window(1, 5, Size(39, 51)),
]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_windows_of_every_level_are_its_pixels(tmp_path: Path, level: int) -> None:
    levels = write_svs(tmp_path / "a.svs", drawn())

    with open_slide(tmp_path / "a.svs", level) as slide:
        raster: Raster = slide

        assert (raster.bands, raster.dtype.name, raster.nodata) == (3, "uint8", None)
        assert raster.georeference == Georeference(mpp=MPP * 4**level)
        assert raster.name == str(tmp_path / "a.svs")
        assert raster.size == Size(*levels[level].shape[:2])
        for window in WINDOWS:
            found = raster.read_masked(window)
            expected = np.moveaxis(levels[level][window.slices], 2, 0)
            assert np.array_equal(found.pixels, expected)
            assert found.valid is None
            assert np.array_equal(raster.read(window), expected)


def test_a_slide_tells_its_scale_at_every_level(tmp_path: Path) -> None:
    write_svs(tmp_path / "a.svs", drawn())

    for level, downsample in enumerate((1, 4, 16)):
        with open_slide(tmp_path / "a.svs", level) as slide:
            assert slide.level == level
            assert slide.downsample == downsample
            assert slide.mpp == pytest.approx(MPP * downsample)
            assert slide.levels == [Size(640, 896), Size(160, 224), Size(40, 56)]


@pytest.mark.parametrize(
    ("mpp", "level", "downsample"),
    [(0.25, 0, 1), (0.5, 0, 2), (0.8, 0, 3), (1.0, 1, 4), (0.995, 1, 4), (2.2, 1, 8), (9, 2, 32)],
)
def test_the_nearest_finer_level_is_averaged_by_whole_blocks(
    tmp_path: Path, mpp: float, level: int, downsample: int
) -> None:
    write_svs(tmp_path / "a.svs", drawn())

    with (
        open_slide(tmp_path / "a.svs", mpp=mpp) as slide,
        open_slide(tmp_path / "a.svs", level) as finer,
    ):
        assert slide.level == level
        assert slide.downsample == downsample
        assert slide.mpp == pytest.approx(MPP * downsample)
        factor = round(downsample / finer.downsample)
        expected = masked_reduced(finer, Window(0, 0, finer.size), factor).pixels
        assert slide.size == Size(*expected.shape[1:])
        assert np.array_equal(slide.read(Window(0, 0, slide.size)), expected)
        part = Window(1, 2, Size(slide.size.height - 1, slide.size.width - 2))
        assert np.array_equal(slide.read(part), expected[:, *part.slices])


def test_levels_that_are_no_whole_parts_are_near(tmp_path: Path) -> None:
    pixels = np.asarray(smooth_colours(645, 901))
    levels = write_svs(tmp_path / "a.svs", pixels)

    with open_slide(tmp_path / "a.svs", 1) as slide:
        assert slide.size == Size(161, 225)
        found = slide.read(Window(31, 17, Size(50, 60)))

    # Not blue, which has an edge.
    difference = np.moveaxis(found, 0, 2).astype(int)[..., :2] - levels[1][31:81, 17:77, :2]
    assert np.abs(difference).max() <= 1


def test_thumbnails_are_made_of_coarser_levels(tmp_path: Path) -> None:
    levels = write_svs(tmp_path / "a.svs", drawn(1280, 1280))

    with open_slide(tmp_path / "a.svs") as slide, open_slide(tmp_path / "a.svs", 1) as smaller:
        assert slide.overviews == [4, 16]
        assert smaller.overviews == [4]
        assert shrunk(slide, Size(20, 20)).overview == 16
        found = shrunk(slide, Size(40, 40))

    assert found.overview == 4
    rows = levels[1].reshape(40, 8, 40, 8, 3)
    assert np.abs(np.moveaxis(found.pixels, 0, 2) - rows.mean(axis=(1, 3))).max() < 40


@pytest.mark.parametrize(
    ("axes", "shape", "dtype"),
    [("YXS", (512, 768, 3), "uint8"), ("CYX", (4, 512, 768), "uint16")],
)
def test_ome_levels_lie_in_subordinate_directories(
    tmp_path: Path, axes: str, shape: tuple[int, ...], dtype: str
) -> None:
    path = tmp_path / "a.ome.tif"
    levels = write_ome(path, noise(*shape, dtype=dtype), axes)

    for number, level in enumerate(levels):
        expected = np.moveaxis(level, 2, 0) if axes == "YXS" else level
        with open_slide(path, number) as slide:
            assert slide.size == Size(*expected.shape[1:])
            assert (slide.bands, slide.dtype) == (len(expected), np.dtype(dtype))
            assert slide.mpp == pytest.approx(MPP * [1, 2, 8][number])
            assert (slide.nodata, slide.has_mask) == (None, False)
            assert slide.block == Size(TILE, TILE)
            for window in WINDOWS:
                assert np.array_equal(slide.read(window), expected[:, *window.slices])
    with open_slide(path) as slide:
        assert slide.overviews == [2, 8]
        assert shrunk(slide, Size(10, 10)).overview == 8


@pytest.mark.parametrize(("unit", "side"), [("nm", 250.0), ("mm", 0.00025), ("µm", 0.25)])
def test_ome_units(tmp_path: Path, unit: str, side: float) -> None:
    write_ome(tmp_path / "a.ome.tif", noise(256, 256, 3), "YXS", unit, side)

    with open_slide(tmp_path / "a.ome.tif", mpp=1.0) as slide:
        assert slide.mpp == pytest.approx(1.0)
        assert slide.downsample == 4


@pytest.mark.parametrize("axes", ["YXS", "CYX"])
def test_channels_of_ome_are_chosen(tmp_path: Path, axes: str) -> None:
    pixels = noise(256, 300, 3) if axes == "YXS" else noise(5, 256, 300, dtype="uint16")
    levels = write_ome(tmp_path / "a.ome.tif", pixels, axes)
    chosen = (3, 1, 1, 2)

    for number, level in enumerate(levels):
        expected = np.moveaxis(level, 2, 0) if axes == "YXS" else level
        with open_slide(tmp_path / "a.ome.tif", number, bands=chosen) as slide:
            assert slide.bands == len(chosen)
            found = slide.read(Window(0, 0, slide.size))
        assert np.array_equal(found, expected[np.array(chosen) - 1])


def test_colours_of_a_scan_are_chosen(tmp_path: Path) -> None:
    (level, *_) = write_svs(tmp_path / "a.svs", drawn())

    with open_slide(tmp_path / "a.svs", bands=(3, 1)) as slide:
        found = slide.read(Window(10, 20, Size(30, 40)))

    assert np.array_equal(found, np.moveaxis(level[10:40, 20:60], 2, 0)[[2, 0]])


@pytest.mark.parametrize("name", ["a.svs", "a.ome.tif"])
def test_a_channel_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    write_svs(tmp_path / "a.svs", drawn())
    write_ome(tmp_path / "a.ome.tif", noise(256, 256, 3), "YXS")

    with pytest.raises(RasterError, match="has no band 4; bands are counted from 1"):
        open_slide(tmp_path / name, bands=(1, 4))


def test_means_of_numbers_over_8_bits_are_floats(tmp_path: Path) -> None:
    write_ome(tmp_path / "a.ome.tif", noise(2, 256, 300, dtype="uint16"), "CYX")

    with open_slide(tmp_path / "a.ome.tif", mpp=3 * MPP) as slide:
        assert slide.dtype == slide.read(Window(0, 0, slide.size)).dtype == np.float32


def test_ome_that_is_no_plane_is_refused(tmp_path: Path) -> None:
    write_ome(tmp_path / "a.ome.tif", noise(3, 64, 64), "ZYX")

    with pytest.raises(RasterError, match="holds Z 3 x Y 64 x X 64; expected one plane"):
        open_slide(tmp_path / "a.ome.tif")


def test_slides_are_known_by_what_is_in_them(tmp_path: Path) -> None:
    write_svs(tmp_path / "slide.dat", drawn())
    write_ome(tmp_path / "ome.dat", noise(256, 256, 3), "YXS")
    write_tiff(tmp_path / "map.svs", noise(1, 64, 64), tiled=True, blockxsize=16, blockysize=16)
    smooth_colours(8, 8).save(tmp_path / "photo.png")
    (tmp_path / "words.svs").write_text("words")

    found = {path.name: is_slide(path) for path in tmp_path.iterdir()}

    assert found == {
        "slide.dat": True,
        "ome.dat": True,
        "map.svs": False,
        "photo.png": False,
        "words.svs": False,
    }
    assert not is_slide(tmp_path)
    assert not is_slide(tmp_path / "missing.svs")


def test_plain_pyramids_open_though_they_are_no_slides(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    levels = write_svs(path, drawn(), mpp=None)

    assert not is_slide(path)
    with open_slide(path, 1) as slide:
        assert np.array_equal(np.moveaxis(slide.read(WINDOWS[0]), 0, 2), levels[1][:30, :50])
        assert slide.mpp is None
    with pytest.raises(RasterError, match="does not say how many micrometres"):
        open_slide(path, mpp=1.0)


def test_what_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    write_svs(tmp_path / "a.svs", drawn())
    (tmp_path / "words.svs").write_text("words")
    of: list[tuple[str, dict[str, Any], str]] = [
        ("missing.svs", {}, "is no file"),
        ("words.svs", {}, "cannot be opened as a slide"),
        ("a.svs", {"level": 3}, r"no level 3; it has 0: 640x896, 1: 160x224, 2: 40x56"),
        ("a.svs", {"level": -1}, "no level -1"),
        ("a.svs", {"mpp": 0.1}, r"0\.25 micrometres per pixel at its finest, not the 0\.1"),
        ("a.svs", {"mpp": 200}, "640x896 pixels of 0.25 micrometres, .* less than one of the 200"),
    ]
    for name, options, message in of:
        with pytest.raises(RasterError, match=message) as caught:
            open_slide(tmp_path / name, **options)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("library", ["openslide", "tifffile"])
def test_a_missing_library_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    svs, ome = tmp_path / "a.svs", tmp_path / "a.ome.tif"
    write_svs(svs, drawn())
    write_ome(ome, noise(256, 256, 3), "YXS")
    monkeypatch.setitem(sys.modules, library, None)

    path = svs if library == "openslide" else ome
    assert is_slide(path)
    with pytest.raises(RasterError, match=rf"{library} .*; pip install glnet\[slides\]"):
        open_slide(path)


def test_a_damaged_tile_is_an_error_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    pixels = drawn()
    write_svs(path, pixels)
    with tifffile.TiffFile(path) as file:
        places = file.pages.first.tags["TileOffsets"].valueoffset
    with path.open("r+b") as stored:
        # The first tile of the second row, of seven: as if it lay beyond the end of the file.
        stored.seek(places + 7 * 4)
        stored.write((2**31 - 1000).to_bytes(4, "little"))

    with open_slide(path) as slide:
        with pytest.raises(RasterError, match=r"level 0, rows 100\.\.200, columns 0\.\.50") as of:
            slide.read(Window(100, 0, Size(100, 50)))
        beside = Window(0, 0, Size(128, 300))
        assert np.array_equal(np.moveaxis(slide.read(beside), 0, 2), pixels[beside.slices])
        forgiving = ForgivingRaster(slide)
        found = forgiving.read_masked(Window(0, 0, slide.size))
    assert "\n" not in str(of.value)
    assert forgiving.damaged == [Window(TILE, 0, Size(TILE, TILE))]
    assert found.valid is not None
    assert np.sum(~found.valid) == TILE * TILE


def test_what_the_scanner_has_not_seen_is_white_and_no_measurement() -> None:
    region = np.zeros((2, 3, 4), np.uint8)
    region[..., :3] = (100, 50, 0)
    region[0, :, 3] = (255, 0, 102)
    region[1, :, 3] = 255

    found = on_paper(region)

    assert found.valid is not None
    assert found.valid.tolist() == [[True, False, True], [True, True, True]]
    assert found.pixels[:, 0].T.tolist() == [[100, 50, 0], [255, 255, 255], [193, 173, 153]]
    assert on_paper(region[1:]).valid is None


def test_a_closed_slide_and_windows_beyond_it_are_refused(tmp_path: Path) -> None:
    write_svs(tmp_path / "a.svs", drawn())
    write_ome(tmp_path / "a.ome.tif", noise(256, 256, 3), "YXS")

    for name in ("a.svs", "a.ome.tif"):
        with open_slide(tmp_path / name) as slide, pytest.raises(GeometryError):
            slide.read(Window(1, 0, slide.size))
        slide.close()
        with pytest.raises(RasterError, match="is closed"):
            slide.read(Window(0, 0, Size(4, 4)))


def test_a_label_file_with_overviews_opens_as_a_pyramid(tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    tiles = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}
    write_tiff(path, noise(3, 512, 512), photometric="rgb", interleave="pixel", **tiles)
    with gdal_settings(), rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])

    with (
        open_slide(path, 1) as slide,
        open_raster(path) as raster,
        raster.overview(0) as expected,
    ):
        window = Window(0, 0, slide.size)
        assert np.array_equal(slide.read(window), expected.read(window))
