"""Tiles at every zoom, against the whole raster reduced at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling

from glnet.errors import GeometryError, OutputError, RasterError
from glnet.geometry import Size, Window
from glnet.raster import ArrayRaster, Masked, Raster, masked_reduced, open_raster
from glnet.raster.gdal import gdal_settings
from glnet.raster.protocol import whole
from glnet.raster.views import RasterView
from glnet.viewing.pyramid import MOST_SHRINK, TILE, Copy, Pyramid, is_tile, passes, zooms_of
from glnet.viewing.reducing import Fit, averaged, sampled
from glnet.viewing.sources import GrowingLabels
from glnet.viewing.tile_store import STORE_SIDE, TileStore
from tests.inference.pictures import picture, raster
from tests.raster.raster_files import write_tiff

SIDES = (4700, 600)
"""Four zooms and a half: the fourth and fifth are made in a pass."""


def noise(height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (height, width, 1), np.uint8)


def tiles_of(pyramid: Pyramid, zoom: int) -> Masked:
    """All tiles of a zoom, side by side."""
    height, width = (-(-side // (1 << zoom)) for side in (pyramid.size.height, pyramid.size.width))
    columns = range(-(-width // TILE))
    rows = [
        [pyramid.tile(zoom, row, column) for column in columns] for row in range(-(-height // TILE))
    ]
    pixels = np.concatenate([np.concatenate([of.pixels for of in row], 2) for row in rows], 1)
    valid = np.concatenate(
        [np.concatenate([_valid(of) for of in row], axis=1) for row in rows], axis=0
    )
    return Masked(pixels, None if valid.all() else valid)


def _valid(of: Masked) -> NDArray[np.bool_]:
    return np.ones(of.pixels.shape[1:], np.bool_) if of.valid is None else of.valid


@pytest.mark.parametrize("zoom", range(3))
def test_tiles_near_full_resolution_are_means(zoom: int, tmp_path: Path) -> None:
    image = raster(1301, 1100)

    with Pyramid(image, averaged, tmp_path) as pyramid:
        shown = tiles_of(pyramid, zoom)

    expected = masked_reduced(image, whole(image), 1 << zoom)
    assert np.array_equal(shown.pixels, expected.pixels)


@pytest.mark.parametrize("zoom", [0, 1, 2])
def test_tiles_of_labels_are_the_middles(zoom: int, tmp_path: Path) -> None:
    values = noise(1301, 1100)

    with Pyramid(ArrayRaster(values), sampled, tmp_path) as pyramid:
        shown = tiles_of(pyramid, zoom)

    factor = 1 << zoom
    for row in range(-(-1301 // factor)):
        for column in (0, 1, 100, 1100 // factor - 1):
            at = min(row * factor + factor // 2, 1300), min(column * factor + factor // 2, 1099)
            assert shown.pixels[0, row, column] == values[*at, 0]


def test_copies_are_made_where_the_file_has_none(tmp_path: Path) -> None:
    image = ArrayRaster(noise(*SIDES))

    with Pyramid(image, averaged, tmp_path) as pyramid:
        assert pyramid.needs_building
        before = pyramid.tile(3, 0, 0)
        is_final_before = [pyramid.is_final(zoom) for zoom in range(5)]
        pyramid.build(lambda: True)
        after = tiles_of(pyramid, 3)

        assert pyramid.done == pyramid.total
        assert pyramid.is_final(4)

    assert before.valid is not None
    assert not before.valid.any()
    assert is_final_before == [True, True, True, False, False]
    assert np.array_equal(after.pixels, masked_reduced(image, whole(image), 8).pixels)


def test_a_copy_of_labels_holds_labels(tmp_path: Path) -> None:
    values = np.where(noise(*SIDES) > 100, 7, 3).astype(np.uint8)

    with Pyramid(ArrayRaster(values), sampled, tmp_path) as pyramid:
        pyramid.build(lambda: True)
        shown = tiles_of(pyramid, 4)

    assert set(np.unique(shown.pixels)) == {3, 7}


def test_building_that_is_left_shows_what_there_is_and_goes_on(tmp_path: Path) -> None:
    image = ArrayRaster(noise(*SIDES))
    asked = iter([True, False])

    with Pyramid(image, averaged, tmp_path) as pyramid:
        pyramid.build(lambda: next(asked))
        part = pyramid.tile(3, 0, 0)
        assert pyramid.needs_building
        pyramid.build(lambda: True)
        all_of_it = pyramid.tile(3, 0, 0)
        assert pyramid.done == pyramid.total  # Nothing twice.

    assert part.valid is not None
    assert part.valid[:256].all()
    assert not part.valid[256:].any()
    assert all_of_it.valid is None


def test_numbers_beyond_bytes_and_holes_stay_what_they_are(tmp_path: Path) -> None:
    values = np.full((*SIDES, 1), 1000.5, np.float32)
    values[:2400] = np.nan

    with Pyramid(ArrayRaster(values), averaged, tmp_path) as pyramid:
        pyramid.build(lambda: True)
        shown = pyramid.tile(4, 0, 0)

    assert shown.valid is not None
    assert not shown.valid[:150].any()
    assert (shown.pixels[0, 150:] == 1000.5).all()


@pytest.mark.parametrize("factors", [[2, 4, 8, 16], [3, 9], [16]])
def test_a_files_own_copies_are_used(factors: list[int], tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", np.moveaxis(picture(4700, 600, 1), 2, 0), tiled=True)
    add_overviews(path, factors, 77)

    with open_raster(path) as image, Pyramid(image, averaged, tmp_path) as pyramid:
        shown = pyramid.tile(4, 0, 0)

    assert shown.pixels.shape == (1, 294, 38)
    assert (shown.pixels == 77).all()


def add_overviews(path: Path, factors: list[int], value: int) -> None:
    """Overviews that hold a value of their own, so that it is seen where they are read."""
    with gdal_settings(), rasterio.open(path, "r+") as dataset:
        dataset.build_overviews(factors, Resampling.nearest)
    for level in range(len(factors)):
        with gdal_settings(), rasterio.open(path, "r+", overview_level=level) as dataset:
            dataset.write(np.full((1, dataset.height, dataset.width), value, np.uint8))


def test_a_file_whose_own_copies_are_too_large_gets_smaller_ones(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", np.zeros((1, 20_000, 64), np.uint8), tiled=True)
    add_overviews(path, [2], 55)

    with open_raster(path) as image, Pyramid(image, averaged, tmp_path) as pyramid:
        pyramid.build(lambda: True)
        shown = pyramid.tile(pyramid.zooms - 1, 0, 0)

    assert (shown.pixels == 55).all()


class Counted(RasterView):
    """A raster with smaller copies of its own; notes how many pixels are read of any at once."""

    def __init__(self, raster: Raster, overviews: tuple[int, ...], reads: list[int]) -> None:
        super().__init__(raster)
        self.overviews, self.reads = overviews, reads

    @contextmanager
    def overview(self, number: int) -> Iterator[Raster]:
        times = self.overviews[number]
        pixels = self.raster.read(whole(self.raster))[:, ::times, ::times]
        yield Counted(ArrayRaster(np.moveaxis(pixels, 0, 2)), (), self.reads)

    def read_masked(self, window: Window) -> Masked:
        self.reads.append(window.size.area)
        return super().read_masked(window)


TALL = Size(20_000, 300)


@pytest.mark.parametrize("fit", [averaged, sampled])
@pytest.mark.parametrize("own", [(), (2,), (3,), (7,), (9,), (16,), (64,), (2, 32), (4, 64)])
def test_no_tile_is_made_of_many_pixels_wherever_copies_are_missing(
    own: tuple[int, ...], fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    read_back = TileStore.read_masked

    def counted(self: TileStore, window: Window) -> Masked:
        reads.append(window.size.area)
        return read_back(self, window)

    monkeypatch.setattr(TileStore, "read_masked", counted)
    image = ArrayRaster(np.zeros((TALL.height, TALL.width, 1), np.uint8))
    with Pyramid(Counted(image, own, reads), fit, tmp_path) as pyramid:
        pyramid.build(lambda: True)
        built, at_once = sum(reads), max(reads, default=0)
        for zoom in range(pyramid.zooms):
            reads.clear()
            tile = pyramid.tile(zoom, 0, 0)
            height, width = (MOST_SHRINK * side + 1 for side in tile.pixels.shape[1:])
            assert sum(reads) <= height * width, f"zoom {zoom}"

    assert at_once <= (8 * STORE_SIDE) ** 2
    # Once over the file where its first gap asks for it, and over what is smaller.
    assert built <= 1.02 * TALL.area
    assert pyramid.done == pyramid.total


def test_a_gap_between_a_files_own_copies_is_closed_with_what_the_file_holds(
    tmp_path: Path,
) -> None:
    path = write_tiff(tmp_path / "a.tif", np.moveaxis(noise(*SIDES), 2, 0), tiled=True)
    add_overviews(path, [16], 77)

    with open_raster(path) as image, Pyramid(image, averaged, tmp_path) as pyramid:
        are_final = [pyramid.is_final(zoom) for zoom in range(5)]
        before = pyramid.tile(3, 0, 0)
        asked = iter([True, False])
        pyramid.build(lambda: next(asked))
        meanwhile = pyramid.tile(3, 0, 0)
        pyramid.build(lambda: True)
        made, own = tiles_of(pyramid, 3), tiles_of(pyramid, 4)
        expected = masked_reduced(image, whole(image), 8)

    assert are_final == [True, True, True, False, True]
    assert (before.pixels == 77).all()  # The next own one, larger than it is.
    assert before.valid is None
    assert np.array_equal(meanwhile.pixels[:, :256], expected.pixels[:, :256])
    assert (meanwhile.pixels[:, 256:] == 77).all()
    assert np.array_equal(made.pixels, expected.pixels)
    assert (own.pixels == 77).all()


@pytest.mark.parametrize(
    ("side", "zooms"), [(1, 1), (512, 1), (513, 2), (1024, 2), (1025, 3), (20_000, 7)]
)
def test_the_last_zoom_is_one_tile(side: int, zooms: int) -> None:
    size = Size(1, side)

    assert zooms_of(size) == zooms
    assert is_tile(size, zooms - 1, 0, 0)
    assert not is_tile(size, zooms - 1, 0, 1)
    assert not is_tile(size, zooms, 0, 0)
    assert not is_tile(size, 10**30, 0, 0)
    assert not is_tile(size, -1, 0, 0)


def test_passes_cover_a_raster_once() -> None:
    image = raster(1000, 2100)
    seen = np.zeros((1000, 2100), int)

    for window in passes(image, 512):
        seen[window.slices] += 1

    assert (seen == 1).all()


def test_a_store_gives_back_what_has_arrived(tmp_path: Path) -> None:
    values = picture(300, 500)
    valid = values[..., 0] > 90

    with TileStore("a", Size(300, 500), 3, np.dtype(np.uint8), tmp_path, 128) as store:
        part = np.moveaxis(values, 2, 0)[:, 256:, 384:]
        store.write(2, 3, Masked(part, valid[256:, 384:]))
        found = store.read_masked(Window(200, 300, Size(100, 200)))
        with pytest.raises(GeometryError, match="inside"):
            store.read(Window(0, 0, Size(301, 1)))

    assert found.valid is not None
    assert not found.valid[:56].any()
    assert not found.valid[:, :84].any()
    assert np.array_equal(found.valid[56:, 84:], valid[256:, 384:])
    assert np.array_equal(found.pixels[:, 56:, 84:], part)


def test_a_store_that_finds_no_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="choose another folder"):
        TileStore("a", Size(1, 1), 1, np.dtype(np.uint8), tmp_path / "missing")


def test_a_store_that_is_closed_says_so(tmp_path: Path) -> None:
    tile = Masked(np.zeros((1, 1, 1), np.uint8), None)
    store = TileStore("a", Size(1, 1), 1, np.dtype(np.uint8), tmp_path)
    store.write(0, 0, tile)
    store.close()

    with pytest.raises(OutputError, match="temporary file"):
        store.write(0, 0, tile)
    with pytest.raises(RasterError, match="temporary file"):
        store.read(Window(0, 0, Size(1, 1)))


@pytest.mark.parametrize("zoom", range(4))
def test_labels_that_grow_are_seen_as_they_arrive(zoom: int, tmp_path: Path) -> None:
    labels = np.where(noise(1500, 2100)[..., 0] > 50, 4, 2).astype(np.uint8)
    size = Size(1500, 2100)

    with GrowingLabels("a", size, tmp_path) as growing:
        for row, column in ((0, 0), (1024, 2048)):
            window = Window(row, column, Size(min(512, 1500 - row), min(512, 2100 - column)))
            growing.add(window, labels[window.slices])
        shown = growing.tile(zoom, 0, 0).pixels[0]
        assert not growing.is_final(zoom)
        assert growing.revision > 0
        assert 0 < growing.progress < 1

    factor = 1 << zoom
    side = 512 // factor
    assert set(np.unique(shown[:side, :side])) == {2, 4}
    assert (shown[side : 1024 // factor, :] == 255).all()
    if zoom == 0:
        assert np.array_equal(shown, labels[:512, :512])


def fits() -> list[Fit]:
    return [averaged, sampled]


@pytest.mark.parametrize("fit", fits())
def test_whole_blocks_and_sizes_that_do_not_divide_give_constant_maps(fit: Fit) -> None:
    image = ArrayRaster(np.full((301, 203, 1), 9, np.uint8))

    for size, factor in ((Size(76, 51), 4), (Size(77, 50), None), (Size(301, 203), 1)):
        found = fit(image, whole(image), size, factor)
        assert found.pixels.shape == (1, size.height, size.width)
        assert (found.pixels == 9).all()


def test_copies_that_somebody_else_makes_are_taken_as_they_are(tmp_path: Path) -> None:
    image, smaller = ArrayRaster(noise(*SIDES)), ArrayRaster(np.full((588, 75, 1), 5, np.uint8))

    with Pyramid(image, sampled, tmp_path, [Copy(8, smaller)]) as pyramid:
        assert not pyramid.needs_building
        assert (pyramid.tile(4, 0, 0).pixels == 5).all()
