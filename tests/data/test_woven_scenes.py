"""Scenes in which neither branch alone, nor the sum of both, can name the lakes."""

import numpy as np
import pytest

from glnet.data import Scene, SceneSettings, make_scene
from glnet.errors import ConfigurationError
from glnet.geometry import Size

SIZE = Size(256, 256)


def scenes(seed: int) -> tuple[Scene, Scene]:
    """The same scene with coloured and with woven countries."""
    plain = SceneSettings(size=SIZE, noise=0.0)
    return make_scene(plain, seed), make_scene(SceneSettings(size=SIZE, noise=0.0, woven=1), seed)


@pytest.mark.parametrize("seed", range(3))
def test_the_truth_and_all_but_the_countries_stay(seed: int) -> None:
    plain, woven = scenes(seed)

    np.testing.assert_array_equal(plain.labels, woven.labels)
    differs = (plain.image != woven.image).any(axis=0)
    assert set(np.unique(plain.labels[differs])) == {0}


@pytest.mark.parametrize("seed", range(3))
def test_averages_over_whole_periods_hide_which_country_is_which(seed: int) -> None:
    _, woven = scenes(seed)
    country = (make_scene(SceneSettings(size=SIZE, noise=0.0), seed).image != woven.image).any(0)
    period = 4

    blocks = woven.image.reshape(3, 64, period, 64, period).mean(axis=(2, 4))
    whole = country.reshape(64, period, 64, period).all(axis=(1, 3))
    # What is left is the ground's own light and dark, wide and the same for both.
    wide = blocks[:, whole].std(axis=1)
    fine = woven.image[:, country].std(axis=1)
    assert (wide < fine / 2).all()


def test_the_share_of_woven_scenes_is_as_asked_for() -> None:
    settings = SceneSettings(size=Size(64, 64), woven=0.5)
    plain = SceneSettings(size=Size(64, 64))

    changed = [
        bool((make_scene(settings, seed).image != make_scene(plain, seed).image).any())
        for seed in range(40)
    ]

    assert 8 <= sum(changed) <= 32


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ConfigurationError, match="woven is a share"):
        SceneSettings(woven=share)
