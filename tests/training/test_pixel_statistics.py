"""Mean and deviation of the bands, and the sizes a model is trained on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from glnet.data import Sample
from glnet.errors import ConfigurationError, DatasetError
from glnet.geometry import Size
from glnet.model.config import Framing
from glnet.raster import open_raster, thumbnail
from glnet.training.choices import NormalizationRule
from glnet.training.pixel_statistics import look_at
from tests.raster.raster_files import write_tiff
from tests.training.tiny_run import FRAMING


def samples(paths: list[Path]) -> list[Sample]:
    return [Sample(path.stem, path) for path in paths]


def noise(*shape: int, seed: int = 0, dtype: str = "uint8") -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, 250, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_statistics_are_those_of_the_stacked_thumbnails(tmp_path: Path, dtype: str) -> None:
    paths = [
        write_tiff(tmp_path / f"{side}.tif", noise(5, side, 90, seed=side, dtype=dtype))
        for side in (80, 64, 150)
    ]
    stacked = []
    for path in paths:
        with open_raster(path) as raster:
            stacked.append(thumbnail(raster, FRAMING.thumbnail).astype(np.float64))

    normalization, extent = look_at(samples(paths), FRAMING, "data")

    whole = np.stack(stacked)
    np.testing.assert_allclose(normalization.mean, whole.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(normalization.std, whole.std(axis=(0, 2, 3)), rtol=1e-5)
    assert (extent.smallest, extent.largest) == (Size(64, 90), Size(150, 90))


@pytest.mark.parametrize("value", [0.0, 7.0, 0.1, -1e6 / 3])
def test_a_constant_band_is_divided_by_1(tmp_path: Path, value: float) -> None:
    pixels = np.full((2, 80, 80), value, np.float32)
    pixels[1] = noise(80, 80)

    normalization, _ = look_at(samples([write_tiff(tmp_path / "a.tif", pixels)]), FRAMING, "data")

    assert normalization.std[0] == 1
    assert normalization.std[1] > 10


def test_published_normalisation_divides_by_255(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(5, 80, 80))

    normalization, _ = look_at(samples([path]), FRAMING, "published")

    assert (normalization.mean, normalization.std) == ((0.0,) * 5, (255.0,) * 5)


def test_imagenet_normalisation_is_that_of_timm(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(3, 80, 80))

    normalization, _ = look_at(samples([path]), FRAMING, "imagenet")

    np.testing.assert_allclose(normalization.mean, 255 * np.array([0.485, 0.456, 0.406]))
    np.testing.assert_allclose(normalization.std, 255 * np.array([0.229, 0.224, 0.225]))


@pytest.mark.parametrize("bands", [1, 5])
def test_imagenet_normalisation_needs_3_bands(tmp_path: Path, bands: int) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(bands, 80, 80))

    with pytest.raises(ConfigurationError, match=f"imagenet needs 3 bands, got {bands}"):
        look_at(samples([path]), FRAMING, "imagenet")


@pytest.mark.parametrize("rule", ["data", "published", "imagenet"])
def test_images_of_different_bands_are_refused(tmp_path: Path, rule: NormalizationRule) -> None:
    paths = [write_tiff(tmp_path / f"{n}.tif", noise(n, 80, 80)) for n in (3, 5)]

    with pytest.raises(DatasetError, match=r"5.tif has 5 bands, the images before have 3"):
        look_at(samples(paths), FRAMING, rule)


def test_no_images_are_refused() -> None:
    with pytest.raises(DatasetError, match="no images"):
        look_at([], FRAMING, "data")


@pytest.mark.parametrize(("reduction", "least"), [(1, 32), (3, 96)])
def test_images_smaller_than_a_backbone_needs_are_refused(
    tmp_path: Path, reduction: int, least: int
) -> None:
    framing = Framing(patch_size=64, thumbnail_size=64, overlap=0, reduction=reduction)
    enough = write_tiff(tmp_path / "enough.tif", noise(3, least + 1, 200))
    small = write_tiff(tmp_path / "small.tif", noise(3, least, 200))

    look_at(samples([enough]), framing, "data")
    with pytest.raises(DatasetError, match=f"small.tif is {least}x200, .* sides over {least} px"):
        look_at(samples([enough, small]), framing, "data")


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_nodata_in_one_band_counts_in_no_statistics(tmp_path: Path, dtype: str) -> None:
    pixels = noise(2, 80, 80, dtype=dtype)
    pixels[0, :40] = -9999
    path = write_tiff(tmp_path / "a.tif", pixels, nodata=-9999)
    half = write_tiff(tmp_path / "b.tif", pixels[:, 40:])

    normalization, _ = look_at(samples([path]), FRAMING, "data")

    without, _ = look_at(samples([half]), FRAMING, "data")
    np.testing.assert_allclose(normalization.mean[0], without.mean[0], rtol=0.05)
    assert normalization.std[0] < 100
