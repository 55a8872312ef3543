import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from glnet.errors import GeometryError
from glnet.geometry import Size, Window
from glnet.raster import (
    ArrayRaster,
    Georeference,
    Masked,
    Raster,
    RasterView,
    masked_thumbnail,
    strips,
    thumbnail,
)
from glnet.raster.measured import LEAST_WEIGHT
from glnet.raster.triangle import triangle_reaches
from tests.raster.random_pixels import random_mask, random_pixels, seeds, sides, sizes, strip_bytes


def pillow_resize(pixels: NDArray[Any], size: Size) -> NDArray[Any]:
    """Each band of (height, width, bands) by Pillow, to the width and then to the height."""
    kind = pixels.dtype if pixels.dtype == np.uint8 else np.dtype(np.float32)
    bands = np.ascontiguousarray(np.moveaxis(pixels, 2, 0), kind)
    return np.stack([np.asarray(_pillow_resize_band(band, size)) for band in bands])


def _pillow_resize_band(band: NDArray[Any], size: Size) -> Image.Image:
    narrow = Image.fromarray(band).resize((size.width, len(band)), Image.Resampling.BILINEAR)
    return narrow.resize((size.width, size.height), Image.Resampling.BILINEAR)


@given(seeds, sizes, st.integers(1, 5), sizes, strip_bytes)
def test_thumbnail_of_8_bits_equals_pillow_to_the_last_bit(
    seed: int, size: Size, bands: int, target: Size, strip: int
) -> None:
    pixels = random_pixels(seed, (size.height, size.width, bands), "uint8")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "STRIP_BYTES", strip)
        shrunk = thumbnail(ArrayRaster(pixels), target)

    assert shrunk.dtype == np.uint8
    assert np.array_equal(shrunk, pillow_resize(pixels, target))


OTHER_TYPES = ["float32", "float64", "int16", "uint16", "int32", "uint32"]


@given(seeds, sizes, sizes, strip_bytes, st.sampled_from(OTHER_TYPES))
def test_thumbnail_of_other_types_equals_pillow_in_floats(
    seed: int, size: Size, target: Size, strip: int, dtype: str
) -> None:
    pixels = random_pixels(seed, (size.height, size.width, 2), dtype)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "STRIP_BYTES", strip)
        shrunk = thumbnail(ArrayRaster(pixels), target)

    assert shrunk.dtype == np.float32
    scale = float(np.abs(pixels.astype(np.float64)).max())
    np.testing.assert_allclose(shrunk, pillow_resize(pixels, target), rtol=1e-6, atol=1e-6 * scale)


@given(seeds, sizes, sizes)
def test_thumbnail_is_within_one_level_of_pillow_in_one_call(
    seed: int, size: Size, target: Size
) -> None:
    pixels = random_pixels(seed, (size.height, size.width), "uint8")

    shrunk = thumbnail(ArrayRaster(pixels), target)[0]

    # Pillow 13 chooses by the shape which axis comes first, and rounds between them.
    shape = (target.width, target.height)
    expected = np.asarray(Image.fromarray(pixels).resize(shape, Image.Resampling.BILINEAR))
    assert np.abs(shrunk.astype(int) - expected).max() <= 1


def test_thumbnail_of_colours_equals_pillows_colours() -> None:
    pixels = random_pixels(0, (301, 203, 3), "uint8")

    shrunk = thumbnail(ArrayRaster(pixels), Size(57, 64))

    narrow = Image.fromarray(pixels).resize((64, 301), Image.Resampling.BILINEAR)
    expected = narrow.resize((64, 57), Image.Resampling.BILINEAR)
    assert np.array_equal(np.moveaxis(shrunk, 0, 2), np.asarray(expected))


@given(seeds, st.sampled_from(["uint8", "float32"]))
def test_thumbnail_of_a_window_equals_the_thumbnail_of_the_cut(seed: int, dtype: str) -> None:
    pixels = random_pixels(seed, (40, 50, 2), dtype)
    window = Window(7, 11, Size(30, 21))

    shown = thumbnail(ArrayRaster(pixels), Size(9, 8), window)

    assert np.array_equal(shown, thumbnail(ArrayRaster(pixels[window.slices]), Size(9, 8)))


@given(st.integers(0, 255), sides, sides, sides, sides)
def test_thumbnails_of_a_constant_are_that_constant(
    value: int, height: int, width: int, rows: int, columns: int
) -> None:
    raster = ArrayRaster(np.full((height, width), value, dtype=np.uint8))

    assert np.all(thumbnail(raster, Size(rows, columns)) == value)


@given(seeds, sides, sides, sizes, strip_bytes, st.sampled_from(["uint8", "int16", "float32"]))
def test_masked_thumbnails_are_means_over_what_was_measured(
    seed: int, height: int, width: int, size: Size, strip: int, dtype: str
) -> None:
    pixels = random_pixels(seed, (height, width, 2), dtype)
    valid = random_mask(seed, height, width)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "STRIP_BYTES", strip)
        found = masked_thumbnail(ArrayRaster(pixels, valid=valid), size)

    def filtered(values: NDArray[Any]) -> NDArray[np.float64]:
        rows, columns = (
            _filter_matrix(of, to) for of, to in ((height, size.height), (width, size.width))
        )
        maps: NDArray[np.float64] = np.einsum("ih,hwb,jw->bij", rows, 1.0 * values, columns)
        return maps

    sums, weights = filtered(pixels * valid[..., None]), filtered(valid[..., None])[0]
    is_known = np.ones(weights.shape, bool) if found.valid is None else found.valid
    assert np.array_equal(is_known, weights > LEAST_WEIGHT)
    assert np.all(found.pixels[:, ~is_known] == 0)
    means = (sums / np.where(is_known, weights, 1))[:, is_known]
    scale = np.abs(pixels.astype(np.float64)).max() + 1
    tolerance = 0.51 if dtype == "uint8" else 2e-6 * scale / weights[is_known].min(initial=1)
    assert found.pixels.dtype == (np.uint8 if dtype == "uint8" else np.float32)
    np.testing.assert_allclose(found.pixels[:, is_known], means, rtol=0, atol=tolerance)


def _filter_matrix(length: int, target: int) -> NDArray[np.float64]:
    matrix = np.zeros((target, length))
    for row, reach in enumerate(triangle_reaches(length, target)):
        matrix[row, reach.start : reach.stop] = reach.weights
    return matrix


def test_what_hides_under_a_mask_changes_nothing() -> None:
    valid = random_mask(1, 60, 50)
    pixels, other = (random_pixels(seed, (60, 50, 3), "uint8") for seed in (1, 2))
    hidden = np.where(valid[..., None], pixels, other)

    first, second = (
        masked_thumbnail(ArrayRaster(of, valid=valid), Size(9, 7)) for of in (pixels, hidden)
    )

    assert np.array_equal(first.pixels, second.pixels)


@pytest.mark.parametrize("strip", [1, 1 << 20])
def test_what_is_no_number_does_not_count(monkeypatch: pytest.MonkeyPatch, strip: int) -> None:
    monkeypatch.setattr(strips, "STRIP_BYTES", strip)
    pixels = np.full((100, 100, 2), 5, dtype=np.float32)
    pixels[50:60, 50:60] = np.nan
    pixels[20, 20, 0] = np.inf

    shrunk = masked_thumbnail(ArrayRaster(pixels), Size(10, 10))
    same = masked_thumbnail(ArrayRaster(pixels), Size(100, 100))

    assert np.allclose(shrunk.pixels, 5)
    assert same.valid is not None
    assert np.array_equal(same.valid, np.isfinite(pixels).any(axis=2))


def test_values_beyond_float32_are_no_measurements() -> None:
    lowest = ArrayRaster(np.full((8, 8), np.finfo(np.float64).min))

    assert not np.any(masked_thumbnail(lowest, Size(4, 4)).valid)


class TiledRaster(RasterView):
    """Says that it lies in tiles; remembers the windows that were read."""

    def __init__(self, raster: Raster, block: Size) -> None:
        super().__init__(raster)
        self._block = block
        self.windows: list[Window] = []

    @property
    def block(self) -> Size:
        return self._block

    def read_masked(self, window: Window) -> Masked:
        self.windows.append(window)
        return self.raster.read_masked(window)


blocks = st.builds(Size, st.integers(1, 30), st.integers(1, 30))


@given(seeds, sizes, blocks, sizes, strip_bytes, st.sampled_from(["uint8", "int16"]))
def test_tiles_that_are_read_one_after_another_make_the_same_thumbnail(
    seed: int, size: Size, block: Size, target: Size, strip: int, dtype: str
) -> None:
    pixels = random_pixels(seed, (size.height, size.width, 2), dtype)
    window = Window(size.height // 5, size.width // 3, _lower_right(size))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "STRIP_BYTES", strip)
        shown = thumbnail(TiledRaster(ArrayRaster(pixels), block), target, window)

    expected = pillow_resize(pixels[window.slices], target)
    if dtype == "uint8":
        assert np.array_equal(shown, expected)
    np.testing.assert_allclose(shown, expected, rtol=1e-6, atol=1e-6 * 2**15)


def _lower_right(size: Size) -> Size:
    return Size(size.height - size.height // 5, size.width - size.width // 3)


@given(seeds, sizes, blocks, sizes, strip_bytes, st.sampled_from(["uint8", "int16", "float32"]))
def test_masked_tiles_make_the_same_thumbnail_as_strips(
    seed: int, size: Size, block: Size, target: Size, strip: int, dtype: str
) -> None:
    pixels = random_pixels(seed, (size.height, size.width, 2), dtype)
    raster = ArrayRaster(pixels, valid=random_mask(seed, size.height, size.width))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "STRIP_BYTES", strip)
        shown = masked_thumbnail(TiledRaster(raster, block), target)
        expected = masked_thumbnail(raster, target)

    assert (shown.valid is None) == (expected.valid is None)
    if shown.valid is not None and expected.valid is not None:
        assert np.array_equal(shown.valid, expected.valid)
    scale = float(np.abs(pixels.astype(np.float64)).max())
    # Of 8 bits, a mean that lies half way between two may be rounded to either.
    tolerance = 1 if dtype == "uint8" else 1e-4 * scale
    np.testing.assert_allclose(
        shown.pixels.astype(float), expected.pixels.astype(float), rtol=0, atol=tolerance
    )


def test_every_tile_is_read_once_where_a_row_of_them_is_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(strips, "STRIP_BYTES", 3 * 64 * 64 * 2)
    pixels = random_pixels(0, (300, 1000, 3), "uint8")
    raster = TiledRaster(ArrayRaster(pixels), Size(64, 64))

    thumbnail(raster, Size(20, 30))

    seen = np.zeros((300, 1000), int)
    for window in raster.windows:
        assert window.row % 64 == window.column % 64 == 0
        assert window.size.width <= 128
        seen[window.slices] += 1
    assert np.all(seen == 1)


def test_files_of_strips_are_read_by_full_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "STRIP_BYTES", 3 * 1000 * 20)
    pixels = random_pixels(0, (100, 1000, 3), "uint8")
    raster = TiledRaster(ArrayRaster(pixels), Size(8, 1000))

    thumbnail(raster, Size(20, 30))

    assert [(of.row, of.column, of.size) for of in raster.windows[:2]] == [
        (0, 0, Size(16, 1000)),
        (16, 0, Size(16, 1000)),
    ]


class TallRaster:
    """Rows made as they are asked for; remembers what was."""

    def __init__(self, height: int) -> None:
        self.name = "tall"
        self.size = Size(height, 2000)
        self.bands = 3
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)
        self.georeference = Georeference()
        self.nodata = None
        self.has_mask = False
        self.rows_read: list[int] = []

    def read(self, window: Window) -> NDArray[Any]:
        return self.read_masked(window).pixels

    def read_masked(self, window: Window) -> Masked:
        self.rows_read += range(window.row, window.row_stop)
        shape = (self.bands, window.size.height, window.size.width)
        return Masked(np.full(shape, 9, dtype=self.dtype), None)


def test_thumbnail_reads_every_row_once_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "STRIP_BYTES", 1 << 20)
    raster = TallRaster(1003)

    thumbnail(raster, Size(30, 20))

    assert raster.rows_read == list(range(1003))


def test_memory_does_not_grow_with_the_raster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "STRIP_BYTES", 1 << 20)
    thumbnail(TallRaster(500), Size(64, 64))

    peaks = [_peak_bytes(TallRaster(height)) for height in (500, 5000)]

    assert peaks[1] < 1.5 * peaks[0]


def _peak_bytes(raster: TallRaster) -> int:
    tracemalloc.start()
    thumbnail(raster, Size(64, 64))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak - 8 * len(raster.rows_read)


def test_refuses_windows_that_are_not_inside() -> None:
    raster = ArrayRaster(np.zeros((4, 5), dtype=np.uint8))

    with pytest.raises(GeometryError, match="inside array"):
        thumbnail(raster, Size(2, 2), Window(1, 0, Size(4, 5)))
