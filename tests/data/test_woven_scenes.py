"""Scenes in which neither branch alone, nor the sum of both, can name the lakes."""

from dataclasses import replace

import numpy as np
import pytest

from glnet.data import Scene, SceneSettings, make_scene
from glnet.errors import ConfigurationError
from glnet.geometry import Size

SIZE = Size(256, 256)


def scenes(seed: int, period: int = 4) -> tuple[Scene, Scene]:
    """The same scene with coloured and with woven countries."""
    plain = SceneSettings(size=SIZE, noise=0.0, period=period)
    return make_scene(plain, seed), make_scene(replace(plain, woven=1), seed)


@pytest.mark.parametrize("seed", range(3))
def test_all_but_the_countries_stays(seed: int) -> None:
    plain, woven = scenes(seed)

    differs = plain.labels != woven.labels
    assert set(np.unique(plain.labels[differs])) == {0}
    assert set(np.unique(woven.labels[differs])) == {1, 2}
    np.testing.assert_array_equal(plain.image[:, ~differs], woven.image[:, ~differs])


@pytest.mark.parametrize("period", [2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_averages_over_whole_periods_hide_which_country_is_which(seed: int, period: int) -> None:
    _, woven = scenes(seed, period)
    across = SIZE.width // period

    blocks = woven.image.reshape(3, across, period, across, period).mean(axis=(2, 4))
    labels = woven.labels.reshape(across, period, across, period)
    whole = (labels == labels[:, :1, :, :1]).all(axis=(1, 3))
    first = labels[:, 0, :, 0]
    meadow, orchard = (blocks[:, whole & (first == of)].mean(axis=1) for of in (1, 2))
    np.testing.assert_allclose(meadow, orchard, atol=0.5)


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
