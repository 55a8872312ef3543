from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from glnet.errors import GeometryError
from glnet.geometry import Size, Window
from glnet.raster import ArrayRaster, masked_reduced, read_reduced, strips
from tests.raster.random_pixels import random_mask, random_pixels, seeds, sides, strip_bytes


@given(seeds, sides, sides, st.integers(1, 80), strip_bytes, st.sampled_from(["uint8", "int16"]))
def test_read_reduced_equals_means_of_blocks(
    seed: int, height: int, width: int, factor: int, strip: int, dtype: str
) -> None:
    pixels = random_pixels(seed, (height, width, 2), dtype)
    window = Window(height // 5, width // 4, Size(height - height // 5, width - width // 4))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "STRIP_BYTES", strip)
        reduced = read_reduced(ArrayRaster(pixels), window, factor)

    expected = block_means(pixels[window.slices], factor)
    if factor == 1:
        assert reduced.dtype == pixels.dtype
    elif dtype == "uint8":
        assert reduced.dtype == np.uint8
        expected = np.floor(expected + 0.5)
    else:
        assert reduced.dtype == np.float32
    np.testing.assert_allclose(reduced, expected, rtol=1e-6, atol=1e-3)


def block_means(pixels: NDArray[Any], factor: int) -> NDArray[np.float64]:
    means = [
        [
            pixels[row : row + factor, column : column + factor].astype(float).mean(axis=(0, 1))
            for column in range(0, pixels.shape[1], factor)
        ]
        for row in range(0, pixels.shape[0], factor)
    ]
    return np.moveaxis(np.array(means), 2, 0)


def test_read_reduced_rounds_half_up() -> None:
    raster = ArrayRaster(np.array([[0, 1, 2, 3]], dtype=np.uint8))

    assert read_reduced(raster, Window(0, 0, Size(1, 4)), 2).tolist() == [[[1, 3]]]


@given(st.integers(0, 255), sides, sides, sides)
def test_block_means_of_a_constant_are_that_constant(
    value: int, height: int, width: int, factor: int
) -> None:
    raster = ArrayRaster(np.full((height, width), value, dtype=np.uint8))

    assert np.all(read_reduced(raster, Window(0, 0, raster.size), factor) == value)


@given(seeds, sides, sides, st.integers(1, 80), strip_bytes, st.sampled_from(["uint8", "int16"]))
def test_masked_block_means_are_over_what_was_measured(
    seed: int, height: int, width: int, factor: int, strip: int, dtype: str
) -> None:
    pixels = random_pixels(seed, (height, width, 2), dtype)
    valid = random_mask(seed, height, width)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "STRIP_BYTES", strip)
        raster = ArrayRaster(pixels, valid=valid)
        found = masked_reduced(raster, Window(0, 0, raster.size), factor)

    for row in range(0, height, factor):
        for column in range(0, width, factor):
            place = slice(row, row + factor), slice(column, column + factor)
            at = row // factor, column // factor
            is_known = found.valid is None or found.valid[at]
            assert is_known == valid[place].any()
            if is_known:
                mean = pixels[place][valid[place]].mean(axis=0)
                assert np.abs(found.pixels[:, *at] - mean).max() <= 0.51


def test_values_beyond_float32_are_no_measurements() -> None:
    lowest = ArrayRaster(np.full((8, 8), np.finfo(np.float64).min))

    assert not np.any(masked_reduced(lowest, Window(0, 0, Size(8, 8)), 2).valid)


def test_refuses_windows_and_factors_that_cannot_be() -> None:
    raster = ArrayRaster(np.zeros((4, 5), dtype=np.uint8))

    with pytest.raises(GeometryError, match="inside array"):
        read_reduced(raster, Window(0, 1, Size(4, 5)), 2)
    with pytest.raises(GeometryError, match="side 1 or more"):
        read_reduced(raster, Window(0, 0, Size(4, 5)), 0)
