import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glnet.data import Sample
from glnet.errors import DatasetError, RasterError
from glnet.geometry import Size, Window
from glnet.raster import open_raster
from glnet.raster.files import RasterFile
from glnet.training.augmentation import Turn
from glnet.training.images import PixelCache
from tests.raster.raster_files import write_tiff
from tests.training.labelled_files import (
    DESCRIPTION,
    LEVELS,
    drawn_labels,
    labelled,
    write_pair,
)

IMAGE_BYTES = drawn_labels().size * (3 + 1)
"""Of an image and its mask in memory."""


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[RasterFile]:
    """The images that were opened, in order."""
    files: list[RasterFile] = []

    def opening(path: Path) -> RasterFile:
        files.append(open_raster(path))
        return files[-1]

    monkeypatch.setattr("glnet.data.sample.open_raster", opening)
    return files


def three(folder: Path) -> list[Sample]:
    return [write_pair(folder, stem, seed=seed) for seed, stem in enumerate("abc")]


def names(files: list[RasterFile]) -> str:
    return "".join(Path(file.name).stem for file in files)


def read(cache: PixelCache, sample: Sample) -> tuple[Any, Any]:
    raster, labels = cache.open(sample, DESCRIPTION)
    window = Window(16, 32, Size(20, 30))
    return raster.read(window), labels.read(window)


def is_closed(file: RasterFile) -> bool:
    try:
        file.read(Window(0, 0, Size(1, 1)))
    except RasterError:
        return True
    return False


@pytest.mark.parametrize("limit", [0, IMAGE_BYTES - 1, IMAGE_BYTES, 3 * IMAGE_BYTES])
def test_pixels_do_not_depend_on_the_limit(tmp_path: Path, limit: int) -> None:
    pairs = three(tmp_path)
    cache = PixelCache(limit)

    for sample in [*pairs, *pairs]:
        pixels, labels = read(cache, sample)

        expected_pixels, expected_labels = read(PixelCache(2**30), sample)
        np.testing.assert_array_equal(pixels, expected_pixels)
        np.testing.assert_array_equal(labels, expected_labels)


def test_what_fits_is_decoded_once(tmp_path: Path, opened: list[RasterFile]) -> None:
    pairs = three(tmp_path)
    cache = PixelCache(3 * IMAGE_BYTES)

    for sample in [*pairs, *pairs]:
        read(cache, sample)

    assert names(opened) == "abc"
    assert all(map(is_closed, opened))


def test_the_image_unused_for_longest_goes_first(tmp_path: Path, opened: list[RasterFile]) -> None:
    a, b, c = three(tmp_path)
    cache = PixelCache(2 * IMAGE_BYTES)

    for sample in (a, b, a, c, a, b):
        read(cache, sample)

    assert names(opened) == "abcb"


def test_of_what_does_not_fit_one_file_is_open(tmp_path: Path, opened: list[RasterFile]) -> None:
    pairs = three(tmp_path)
    cache = PixelCache(IMAGE_BYTES - 1)

    for sample in pairs:
        read(cache, sample)

    assert [is_closed(file) for file in opened] == [True, True, False]
    opened[-1].close()


def test_a_mask_of_another_size_is_refused_and_leaves_no_file_open(
    tmp_path: Path, opened: list[RasterFile]
) -> None:
    sample = write_pair(tmp_path)
    Image.fromarray(drawn_labels()[:-1]).save(tmp_path / "a_mask.png")

    with pytest.raises(DatasetError, match="as large as its image"):
        read(PixelCache(0), sample)

    assert all(map(is_closed, opened))


@pytest.mark.parametrize("limit", [0, 2**30])
def test_images_travel_to_other_processes_without_their_pixels(tmp_path: Path, limit: int) -> None:
    image = labelled(write_pair(tmp_path), cache=PixelCache(limit))
    window = [Window(0, 0, Size(64, 64))]
    pixels = image.pixels(window, Turn())

    sent = pickle.dumps(image)

    assert len(sent) < IMAGE_BYTES / 10
    np.testing.assert_array_equal(pickle.loads(sent).pixels(window, Turn()), pixels)


@pytest.mark.parametrize("limit", [0, 2**30])
def test_nodata_in_one_band_is_the_mean_from_memory_as_from_the_file(
    tmp_path: Path, limit: int
) -> None:
    sample = write_pair(tmp_path, suffix=".tif")
    labels = drawn_labels()
    pixels = np.array(LEVELS, np.int16)[np.stack([labels] * 3)]
    pixels[1, :32, :48] = -9999
    write_tiff(sample.image, pixels, nodata=-9999)
    gaps = np.where(pixels == -9999, 0, pixels)  # The mean is 0 here.

    image = labelled(sample, cache=PixelCache(limit))

    window = Window(16, 0, Size(64, 64))
    seen = image.pixels([window], Turn())[0].numpy()
    assert np.array_equal(seen, gaps[:, *window.slices])
    small = image.thumbnail().pixels.numpy()
    assert (small >= 0).all()
    assert (small[1, :10, :16] == 0).all()
