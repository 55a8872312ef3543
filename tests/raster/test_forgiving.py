"""Files with damaged blocks: named by default, left out by `ForgivingRaster`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from glnet.errors import GeometryError, RasterError
from glnet.geometry import Size, Window
from glnet.raster import (
    ArrayRaster,
    ForgivingRaster,
    Masked,
    RasterView,
    masked_thumbnail,
    open_raster,
)
from glnet.raster.protocol import Pixels
from glnet.raster.stored import StoredPicture
from tests.raster.raster_files import damage_block, noise, smooth_colours, write_tiff

SIDE = 128
WHOLE = Window(0, 0, Size(600, 500))
DAMAGE = Window(2 * SIDE, SIDE, Size(SIDE, SIDE))

TILED: dict[str, Any] = {
    "tiled": True,
    "blockxsize": SIDE,
    "blockysize": SIDE,
    "interleave": "pixel",
    "transform": Affine(2, 0, 50, 0, -2, 90),
}


def damaged_tiff(path: Path, compress: str) -> Pixels:
    """A file whose block in block row 2, block column 1 is damaged; its pixels before that."""
    more = {"photometric": "ycbcr"} if compress == "JPEG" else {}
    write_tiff(path, noise(3, 600, 500), compress=compress, **TILED, **more)
    with open_raster(path) as raster:
        pixels = raster.read(WHOLE)
    damage_block(path, 2, 1)
    return pixels


COMPRESSIONS = ["DEFLATE", "LZW", "JPEG", "ZSTD"]


@pytest.mark.parametrize("compress", COMPRESSIONS)
def test_without_it_a_damaged_block_is_named_by_its_window(tmp_path: Path, compress: str) -> None:
    pixels = damaged_tiff(tmp_path / "a.tif", compress)
    beside = Window(0, 0, Size(256, 500))

    with open_raster(tmp_path / "a.tif") as raster:
        assert np.array_equal(raster.read(beside), pixels[:, *beside.slices])
        with pytest.raises(RasterError, match=r"rows 200\.\.300, columns 100\.\.200") as caught:
            raster.read(Window(200, 100, Size(100, 100)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compress", COMPRESSIONS)
@pytest.mark.parametrize("window", [WHOLE, Window(200, 100, Size(100, 100)), DAMAGE])
def test_all_but_the_damaged_block_is_read(tmp_path: Path, compress: str, window: Window) -> None:
    pixels = damaged_tiff(tmp_path / "a.tif", compress)
    expected = np.ones((600, 500), bool)
    expected[DAMAGE.slices] = False

    with open_raster(tmp_path / "a.tif") as file:
        raster = ForgivingRaster(file)
        found = raster.read_masked(window)

        assert raster.has_mask
        assert raster.georeference == file.georeference
        assert raster.damaged == [DAMAGE]
    assert found.valid is not None
    assert np.array_equal(found.valid, expected[window.slices])
    assert np.array_equal(found.pixels, (pixels * expected)[:, *window.slices])


def test_a_sound_file_reads_as_it_is(tmp_path: Path) -> None:
    pixels = noise(3, 600, 500)
    path = write_tiff(tmp_path / "a.tif", pixels, **TILED)

    with open_raster(path) as file:
        raster = ForgivingRaster(file)
        found = raster.read_masked(WHOLE)

    assert found.valid is None
    assert np.array_equal(found.pixels, pixels)
    assert raster.damaged == []


def test_damage_in_a_file_of_strips_costs_its_rows(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(1, 64, 4096), compress="LZW", blockysize=8)
    damage_block(path, 3, 0)

    with open_raster(path) as file:
        raster = ForgivingRaster(file)
        raster.read(Window(0, 0, Size(64, 100)))

    assert raster.damaged == [Window(24, 0, Size(8, 4096))]


def test_a_picture_that_is_decoded_whole_is_lost_whole_and_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(noise(300, 400, 3)).save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    decoded: list[Window] = []
    read = StoredPicture.read

    def counted(picture: StoredPicture, window: Window) -> Masked:
        decoded.append(window)
        return read(picture, window)

    monkeypatch.setattr(StoredPicture, "read", counted)

    with open_raster(path) as file:
        raster = ForgivingRaster(file)
        found = [raster.read_masked(Window(0, 0, Size(64, of))) for of in (64, 128)]

    assert not any(np.any(of.valid) for of in found)
    assert raster.damaged == decoded == [Window(0, 0, Size(300, 400))]


def test_thumbnails_are_means_of_what_can_be_read(tmp_path: Path) -> None:
    image = np.full((1, 512, 512), 7, np.uint8)
    path = write_tiff(tmp_path / "a.tif", image, **TILED, compress="LZW")
    damage_block(path, 0, 0)

    with open_raster(path) as file:
        found = masked_thumbnail(ForgivingRaster(file), Size(32, 32))

    assert found.valid is not None
    assert not found.valid[:6, :6].any()
    assert found.valid[:, 9:].all()
    assert np.all(found.pixels[0][found.valid] == 7)


class Damaged(RasterView):
    """Fails where a window meets a square that is damaged; counts."""

    def __init__(self, size: Size, squares: set[tuple[int, int]], side: int) -> None:
        super().__init__(ArrayRaster(noise(size.height, size.width) + 1))
        self.squares, self.side = squares, side
        self.reads = 0

    def read_masked(self, window: Window) -> Masked:
        self.reads += 1
        side = self.side
        for row, column in self.squares:
            if window.shared(Window(row * side, column * side, Size(side, side))):
                raise RasterError("damaged")
        return super().read_masked(window)


squares = st.sets(st.tuples(st.integers(0, 4), st.integers(0, 6)))
windows = st.builds(
    Window, st.integers(0, 20), st.integers(0, 30), st.builds(Size, *[st.integers(1, 25)] * 2)
)


@given(squares, st.lists(windows, min_size=1, max_size=4))
def test_what_is_lost_is_what_is_damaged_in_any_order(
    broken: set[tuple[int, int]], order: list[Window]
) -> None:
    size, side = Size(45, 60), 9
    source = Damaged(size, broken, side)
    raster = ForgivingRaster(source, Size(side, side))
    expected = np.ones((45, 63), bool)
    for row, column in broken:
        expected[row * side :, column * side :][:side, :side] = False
    expected = expected[:, :60]

    for window in order:
        found = raster.read_masked(window)

        valid = np.ones(found.pixels.shape[1:], bool) if found.valid is None else found.valid
        assert np.array_equal(valid, expected[window.slices])
        whole = source.raster.read(window)
        assert np.array_equal(found.pixels, whole * valid)
    raster.read(Window(0, 0, size))
    marked = np.zeros((45, 60), int)
    for window in raster.damaged:
        marked[window.slices] += 1
    assert np.array_equal(marked, ~expected)


def test_a_file_that_fails_everywhere_is_read_twice_per_block_at_most() -> None:
    everywhere = {(row, column) for row in range(10) for column in range(10)}
    source = Damaged(Size(640, 640), everywhere, 64)
    raster = ForgivingRaster(source, Size(64, 64))

    for row in range(0, 540, 20):
        for column in range(0, 540, 20):
            raster.read_masked(Window(row, column, Size(100, 100)))
    raster.read_masked(Window(0, 0, Size(640, 640)))

    assert source.reads < 2 * 100
    assert raster.damaged == [Window(0, 0, Size(640, 640))]


def test_windows_beyond_the_edge_stay_an_error() -> None:
    raster = ForgivingRaster(ArrayRaster(noise(8, 9)))

    with pytest.raises(GeometryError):
        raster.read_masked(Window(0, 0, Size(9, 9)))


def test_a_turned_photo_has_turned_blocks(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / "a.tif"
    smooth_colours(40, 2000).save(path, exif=exif, compression="tiff_lzw")

    with open_raster(path) as raster:
        assert raster.size == Size(2000, 40)
        assert raster.block.height == 2000
