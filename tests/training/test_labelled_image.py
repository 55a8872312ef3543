import random
from pathlib import Path

import numpy as np
import pytest

from glnet.geometry import Size, Window
from glnet.model.config import Framing
from glnet.training.augmentation import Turn
from glnet.training.images import PixelCache
from tests.training.labelled_files import (
    SQUARE,
    STORED,
    drawn_labels,
    labelled,
    labels_in,
    write_pair,
)

SIZE = Size(*drawn_labels().shape)
TURNS = [Turn(quarters, mirrored) for quarters in range(4) for mirrored in (False, True)]


def even_windows(raster: Size, side: int, number: int = 5) -> list[Window]:
    rng = random.Random(0)
    return [
        Window(
            2 * rng.randint(0, (raster.height - side) // 2),
            2 * rng.randint(0, (raster.width - side) // 2),
            Size(side, side),
        )
        for _ in range(number)
    ]


@pytest.mark.parametrize("cache_bytes", [0, 2**30])
@pytest.mark.parametrize("reduction", [1, 2])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("orientation", STORED)
def test_patches_and_their_labels_show_the_same_place(
    tmp_path: Path, orientation: int, suffix: str, reduction: int, cache_bytes: int
) -> None:
    sample = write_pair(tmp_path, suffix=suffix, orientation=orientation)
    framing = Framing(patch_size=32, thumbnail_size=64, overlap=0, reduction=reduction)
    image = labelled(sample, framing, PixelCache(cache_bytes))
    truth = drawn_labels()

    for turn in TURNS:
        windows = even_windows(turn.size(SIZE), 32 * reduction)
        pixels, labels = image.pixels(windows, turn), image.labels(windows, turn)

        assert pixels.shape == (len(windows), 3, 32, 32)
        for k, window in enumerate(windows):
            expected = turn.apply(truth)[window.slices][::reduction, ::reduction]
            np.testing.assert_array_equal(labels[k], expected)
            np.testing.assert_array_equal(labels_in(pixels[k, 0].numpy()), expected)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("orientation", STORED)
def test_thumbnails_and_their_labels_show_the_same_place(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    sample = write_pair(tmp_path, suffix=suffix, orientation=orientation)
    truth = drawn_labels()
    # Squares become 12 x 12: the middle third of each is free of its neighbours.
    framing = Framing(patch_size=64, thumbnail_size=108, overlap=16)
    image = labelled(sample, framing)

    for turn in TURNS:
        pixels, labels = image.thumbnail(turn)

        assert pixels.shape == (3, 108, 108)
        squares = turn.apply(truth[::SQUARE, ::SQUARE])
        rows, columns = (108 // side for side in squares.shape)
        middles = np.ix_(np.arange(rows // 2, 108, rows), np.arange(columns // 2, 108, columns))
        np.testing.assert_array_equal(labels.numpy()[middles], squares)
        np.testing.assert_array_equal(labels_in(pixels[0].numpy()[middles]), squares)


def test_pixels_are_normalised(tmp_path: Path) -> None:
    image = labelled(write_pair(tmp_path))
    plain = image.thumbnail().pixels
    image = labelled(write_pair(tmp_path))
    image._normalization = type(image._normalization)((1.0, 2.0, 3.0), (2.0, 4.0, 8.0))

    pixels = image.thumbnail().pixels

    for band, (mean, std) in enumerate([(1, 2), (2, 4), (3, 8)]):
        np.testing.assert_allclose(pixels[band], (plain[band] - mean) / std)
