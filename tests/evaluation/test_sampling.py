import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from glnet.geometry import Size, Window
from glnet.inference import sampling
from glnet.inference.sampling import fitted, sampled

sizes = st.builds(Size, st.integers(1, 40), st.integers(1, 40))


def drawn(size: Size) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (size.height, size.width), dtype=np.uint8)


def slow_sampled(labels: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    height, width = labels.shape
    picture = np.zeros((size.height, size.width), np.uint8)
    for row in range(size.height):
        for column in range(size.width):
            # Twice the centre, so that whole numbers do.
            above = (2 * row + 1) * height // (2 * size.height)
            left = (2 * column + 1) * width // (2 * size.width)
            picture[row, column] = labels[above, left]
    return picture


@pytest.mark.parametrize("strip_pixels", [1, 100, 4_000_000])
@given(raster=sizes, size=sizes)
def test_sampled_labels_are_those_under_the_centres(
    strip_pixels: int, raster: Size, size: Size
) -> None:
    labels = drawn(raster)
    read: list[Window] = []

    def reading(window: Window) -> NDArray[np.uint8]:
        read.append(window)
        return labels[window.slices]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "STRIP_PIXELS", strip_pixels)
        picture = sampled(reading, raster, size)

    np.testing.assert_array_equal(picture, slow_sampled(labels, size))
    assert all(window.size.area <= max(strip_pixels, raster.width) for window in read)


@given(sizes)
def test_a_picture_of_the_same_size_is_the_same(raster: Size) -> None:
    labels = drawn(raster)

    picture = sampled(lambda window: labels[window.slices], raster, raster)

    np.testing.assert_array_equal(picture, labels)


@given(raster=sizes, side=st.integers(1, 60))
def test_fitted_sizes_keep_the_aspect_and_enlarge_nothing(raster: Size, side: int) -> None:
    size = fitted(raster, side)

    longer = max(raster.height, raster.width)
    assert max(size.height, size.width) == min(side, longer)
    for ours, theirs in ((size.height, raster.height), (size.width, raster.width)):
        assert ours == 1 or abs(ours - theirs * min(1, side / longer)) <= 0.5
