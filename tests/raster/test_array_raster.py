import numpy as np
import pytest

from glnet.errors import GeometryError, RasterError
from glnet.geometry import Size, Window
from glnet.raster import ArrayRaster, Georeference, Raster


def test_an_array_reads_bands_first() -> None:
    array = np.arange(4 * 5 * 3, dtype=np.int16).reshape(4, 5, 3)
    raster: Raster = ArrayRaster(array, name="mine", nodata=-1)

    pixels = raster.read(Window(1, 2, Size(2, 3)))

    assert (raster.name, raster.size, raster.bands, raster.nodata) == ("mine", Size(4, 5), 3, -1)
    assert raster.georeference == Georeference()
    assert pixels.dtype == raster.dtype == np.int16
    assert np.array_equal(pixels, np.moveaxis(array[1:3, 2:5], 2, 0))


def test_what_is_read_can_be_changed_without_harm() -> None:
    array = np.zeros((2, 3), dtype=np.uint8)
    raster = ArrayRaster(array)

    raster.read(Window(0, 0, raster.size))[...] = 9

    assert not array.any()


def test_booleans_read_as_zero_and_one() -> None:
    raster = ArrayRaster(np.array([[True, False]]))

    assert raster.dtype == np.uint8
    assert raster.read(Window(0, 0, raster.size)).tolist() == [[[1, 0]]]


@pytest.mark.parametrize("shape", [(3,), (0, 4), (4, 5, 0), (1, 2, 3, 4)])
def test_refuses_shapes_that_are_no_picture(shape: tuple[int, ...]) -> None:
    with pytest.raises(RasterError, match="height, width"):
        ArrayRaster(np.zeros(shape))


@pytest.mark.parametrize("dtype", [np.complex64, np.object_, "U3"])
def test_refuses_what_are_no_numbers(dtype: type | str) -> None:
    with pytest.raises(RasterError, match="integers or floats"):
        ArrayRaster(np.zeros((2, 2), dtype=dtype))


def test_refuses_windows_beyond_the_edge() -> None:
    with pytest.raises(GeometryError, match="inside array"):
        ArrayRaster(np.zeros((2, 2))).read(Window(1, 1, Size(2, 1)))
