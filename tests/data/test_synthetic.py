from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from glnet.data.smooth_noise import SmoothNoise, spline_matrix
from glnet.data.synthetic import SCENE_CLASSES, Scene, SceneSettings, make_scene, scene_strips
from glnet.errors import ConfigurationError
from glnet.geometry import Size

TERRAIN, MEADOW, ORCHARD, RED_LAKE, BLUE_LAKE = range(5)
SEEDS = range(4)
SMALL = SceneSettings(Size(256, 256))


@cache
def scene(seed: int) -> Scene:
    return make_scene(SceneSettings(Size(1024, 1024)), seed)


def blocks(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """(..., rows, columns) as (..., block rows, block columns, side * side)."""
    *_, height, width = pixels.shape
    parted = pixels.reshape(-1, height // side, side, width // side, side)
    return parted.swapaxes(2, 3).reshape(-1, height // side, width // side, side * side)


def pure_blocks(drawn: Scene, label: int, side: int) -> NDArray[np.float64]:
    """(3, blocks, side * side): the pixels of the blocks that lie inside one class."""
    is_pure = (blocks(drawn.labels, side)[0] == label).all(axis=-1)
    return blocks(drawn.image, side)[:, is_pure].astype(np.float64)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("side", [8, 16])
def test_fields_look_alike_once_blocks_are_averaged(seed: int, side: int) -> None:
    meadow, orchard = (pure_blocks(scene(seed), label, side) for label in (MEADOW, ORCHARD))

    for field in (meadow, orchard):
        # What is left in a block's mean is the noise of its pixels, and their rounding.
        assert field.mean(axis=2).std() - field.mean(axis=(1, 2)).std() < 10 / side
    np.testing.assert_allclose(meadow.mean(axis=(1, 2)), orchard.mean(axis=(1, 2)), atol=0.1)
    np.testing.assert_allclose(meadow.std(axis=(1, 2)), orchard.std(axis=(1, 2)), rtol=0.01)


@pytest.mark.parametrize("seed", SEEDS)
def test_fields_differ_from_pixel_to_pixel(seed: int) -> None:
    meadow, orchard = (pure_blocks(scene(seed), label, 8) for label in (MEADOW, ORCHARD))

    steps = [
        np.abs(np.diff(field.reshape(3, -1, 8, 8), axis=3)).mean() for field in (meadow, orchard)
    ]

    # Along a row a stripe goes on, and a check ends after two pixels.
    assert steps[1] > 3 * steps[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_lakes_are_alike_to_the_pixel(seed: int) -> None:
    lakes = [
        scene(seed).image[:, scene(seed).labels == label].astype(float)
        for label in (RED_LAKE, BLUE_LAKE)
    ]

    for first, second in zip(*lakes, strict=True):
        assert abs(first.mean() - second.mean()) < 0.2
        assert abs(first.std() - second.std()) < 0.1
        shares = [
            np.bincount(lake.astype(int), minlength=256) / lake.size for lake in (first, second)
        ]
        assert np.abs(np.cumsum(shares[0] - shares[1])).max() < 0.02


@pytest.mark.parametrize("seed", range(10))
def test_a_lakes_country_is_far_and_a_lake_has_one_country(seed: int) -> None:
    image, labels = make_scene(SceneSettings(Size(256, 256), noise=0), seed)
    red, green, blue = image.astype(int)
    hints = {RED_LAKE: red - green > 60, BLUE_LAKE: blue - green > 60}

    for lake, country in hints.items():
        other = hints[RED_LAKE + BLUE_LAKE - lake]
        own, strange = (distances(labels == lake, hint) for hint in (country, other))
        # Of a scene of 1024 pixels: none within 100, nine of ten beyond 140, half beyond 192.
        assert own.min() > 100 / 1024 * 256
        assert np.quantile(own, 0.1) > 140 / 1024 * 256
        assert np.median(own) > 192 / 1024 * 256
        assert (own < strange).mean() > 0.95


def distances(places: NDArray[np.bool_], goals: NDArray[np.bool_]) -> NDArray[np.float64]:
    """From some of the places, to the nearest goal."""
    starts, ends = np.argwhere(places)[::7], np.argwhere(goals)
    return np.array([np.hypot(*(ends - start).T).min() for start in starts])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_every_class_has_a_share(seed: int) -> None:
    labels = make_scene(SMALL, seed).labels

    shares = np.bincount(labels.ravel(), minlength=len(SCENE_CLASSES)) / labels.size
    assert shares.size == len(SCENE_CLASSES)
    assert (shares > 0.05).all()
    assert (shares < 0.6).all()


def test_a_scene_depends_on_its_seed_alone() -> None:
    first, again, other = (make_scene(SMALL, seed) for seed in (5, 5, 6))

    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.labels != other.labels).any()


def test_a_larger_scene_has_the_same_layout() -> None:
    small, large = (make_scene(SceneSettings(Size(s, s)), 3).labels for s in (256, 768))

    # The middle of three pixels is where the one pixel is.
    assert (large[1::3, 1::3] == small).mean() > 0.999


def test_strips_are_the_scene() -> None:
    rectangle = SceneSettings(Size(600, 100))

    drawn = list(scene_strips(rectangle, 1))

    assert [strip.window.row for strip in drawn] == [0, 256, 512]
    whole = make_scene(rectangle, 1)
    assert whole.image.shape == (3, 600, 100)
    assert whole.labels.shape == (600, 100)
    for strip in drawn:
        np.testing.assert_array_equal(strip.image, whole.image[:, *strip.window.slices])
        np.testing.assert_array_equal(strip.labels, whole.labels[strip.window.slices])


@given(st.integers(1, 9), st.floats(0, 1))
def test_splines_share_out_a_whole(cells: int, point: float) -> None:
    weights = spline_matrix(np.array([point], np.float32), cells)

    assert weights.shape == (1, cells + 3)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(), 1, atol=1e-5)


def test_smooth_noise_has_its_deviation_and_no_jumps() -> None:
    points = ((np.arange(400) + 0.5) / 400).astype(np.float32)

    values = SmoothNoise.draw(np.random.default_rng(0), 2, 40, 3.0).sample(points, points)

    assert values.shape == (2, 400, 400)
    assert values.std() == pytest.approx(3, rel=0.1)
    assert np.abs(np.diff(values, axis=1)).max() < 3


def test_scenes_refuse_what_cannot_be() -> None:
    with pytest.raises(ConfigurationError, match="at least 64 px, got 63x64"):
        SceneSettings(Size(63, 64))
    for period in (0, 5):
        with pytest.raises(ConfigurationError, match=f"even and at least 2, got {period}"):
            SceneSettings(period=period)
    with pytest.raises(ConfigurationError, match="cannot be negative"):
        SceneSettings(contrast=-1)
    with pytest.raises(ConfigurationError, match="cannot be negative"):
        SceneSettings(noise=-1)
    with pytest.raises(ConfigurationError, match="seed must be at least 0, got -1"):
        make_scene(SMALL, -1)
