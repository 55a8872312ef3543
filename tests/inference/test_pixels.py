import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glnet.errors import InputMismatchError
from glnet.geometry import Size, Window
from glnet.inference.pixels import (
    framed,
    normalized,
    read_patch,
    read_thumbnail,
)
from glnet.inference.segment import segment
from glnet.model.config import Framing, Normalization
from glnet.raster import ArrayRaster, ExtendedRaster, Georeference
from tests.inference.pictures import picture, raster
from tests.model.tiny import tiny_model


@settings(deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 50), st.data())
def test_an_extended_raster_repeats_its_edge(
    height: int, width: int, least: int, data: st.DataObject
) -> None:
    pixels = picture(height, width)
    extended = ExtendedRaster(ArrayRaster(pixels), least)
    padding = ((0, extended.size.height - height), (0, extended.size.width - width), (0, 0))
    row = data.draw(st.integers(0, extended.size.height - 1))
    column = data.draw(st.integers(0, extended.size.width - 1))
    rows = data.draw(st.integers(1, extended.size.height - row))
    columns = data.draw(st.integers(1, extended.size.width - column))
    window = Window(row, column, Size(rows, columns))

    found = extended.read(window)

    assert extended.size == Size(max(height, least), max(width, least))
    expected = np.pad(pixels, padding, mode="edge").transpose(2, 0, 1)
    assert np.array_equal(found, expected[:, *window.slices])


def test_an_extended_raster_is_otherwise_the_raster() -> None:
    place = Georeference(gcps_crs=None)
    inner = ArrayRaster(picture(3, 4, 2), name="leaf", georeference=place, nodata=7)

    extended = ExtendedRaster(inner, 32)

    assert (extended.name, extended.bands) == ("leaf", 2)
    assert extended.dtype == inner.dtype
    assert extended.georeference == Georeference()
    assert extended.nodata == 7


@pytest.mark.parametrize(("reduction", "least"), [(1, 32), (3, 96)])
def test_only_rasters_too_small_for_a_backbone_are_extended(reduction: int, least: int) -> None:
    model = tiny_model(framing=Framing(patch_size=64, thumbnail_size=64, reduction=reduction))
    large, small = raster(least, least), raster(least - 1, 200)

    assert framed(large, model) is large
    assert framed(small, model).size == Size(least, 200)


def test_rasters_of_other_bands_are_refused() -> None:
    with pytest.raises(InputMismatchError, match="array is read with 4 bands, the model takes 3"):
        framed(raster(40, 40, bands=4), tiny_model())


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_normalized_pixels_are_in_standard_deviations(dtype: str) -> None:
    pixels = np.array([[[0, 100]], [[10, 50]]], dtype)

    found = normalized(pixels, Normalization((20.0, 10.0), (10.0, 40.0)))

    assert found.tolist() == [[[-2.0, 8.0]], [[0.0, 1.0]]]
    assert str(found.dtype) == "torch.float32"


def test_patches_are_block_means_and_thumbnails_the_whole() -> None:
    framing = Framing(patch_size=32, thumbnail_size=48, overlap=0, reduction=2)
    flat = ArrayRaster(np.full((100, 70, 3), 9, np.uint8))
    pixels = picture(64, 64)

    patch = read_patch(ArrayRaster(pixels), Window(0, 0, Size(64, 64)), framing)

    means = pixels.reshape(32, 2, 32, 2, 3).astype(float).mean(axis=(1, 3)).transpose(2, 0, 1)
    assert np.array_equal(patch.pixels, np.floor(means + 0.5))
    assert np.array_equal(read_thumbnail(flat, framing).pixels, np.full((3, 48, 48), 9))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_becomes_the_mean(value: float) -> None:
    pixels = np.full((2, 3, 4), 7.0, dtype=np.float32)
    pixels[1, 2, 3] = value

    found = normalized(pixels, Normalization((5.0, 5.0), (2.0, 2.0)))

    assert found[1, 2, 3] == 0
    assert (found == 1).sum() == pixels.size - 1


def test_one_pixel_that_is_no_number_changes_no_label_far_away() -> None:
    model = tiny_model()
    pixels = picture(200, 300).astype(np.float32)
    damaged = pixels.copy()
    damaged[5, 5] = np.nan
    expected = segment(pixels, model)

    found = segment(damaged, model)

    assert np.argwhere(found == 255).tolist() == [[5, 5]]
    assert np.mean(found[100:, 150:] == expected[100:, 150:]) > 0.9
    assert len(np.unique(found)) == len(np.unique(expected)) + 1
