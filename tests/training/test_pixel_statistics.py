from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from glnet.data import SegmentationFolder
from glnet.errors import ConfigurationError, DatasetError
from glnet.geometry import Size
from glnet.model.config import Framing
from glnet.raster import open_raster, thumbnail
from glnet.training.config import NormalizationRule, RunConfig, StagesConfig, Start, TrainingConfig
from glnet.training.preparation import Run, look_at
from tests.raster.raster_files import write_tiff
from tests.training.tiny_run import FRAMING, tiny_config, write_scenes


def noise(*shape: int, seed: int = 0, dtype: str = "uint8") -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, 250, shape).astype(dtype)


@pytest.fixture
def scenes(tmp_path: Path) -> SegmentationFolder:
    return write_scenes(tmp_path / "data")


def prepared(config: TrainingConfig) -> Run:
    return Run(config, SegmentationFolder.open(config.data.folder))


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

    normalization, extent = look_at(paths, FRAMING, "data")

    whole = np.stack(stacked)
    np.testing.assert_allclose(normalization.mean, whole.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(normalization.std, whole.std(axis=(0, 2, 3)), rtol=1e-5)
    assert (extent.smallest, extent.largest) == (Size(64, 90), Size(150, 90))


@pytest.mark.parametrize("value", [0.0, 7.0, 0.1, -1e6 / 3])
def test_a_constant_band_is_divided_by_1(tmp_path: Path, value: float) -> None:
    pixels = np.full((2, 80, 80), value, np.float32)
    pixels[1] = noise(80, 80)

    normalization, _ = look_at([write_tiff(tmp_path / "a.tif", pixels)], FRAMING, "data")

    assert normalization.std[0] == 1
    assert normalization.std[1] > 10


def test_published_normalisation_divides_by_255(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(5, 80, 80))

    normalization, _ = look_at([path], FRAMING, "published")

    assert (normalization.mean, normalization.std) == ((0.0,) * 5, (255.0,) * 5)


def test_imagenet_normalisation_is_that_of_timm(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(3, 80, 80))

    normalization, _ = look_at([path], FRAMING, "imagenet")

    np.testing.assert_allclose(normalization.mean, 255 * np.array([0.485, 0.456, 0.406]))
    np.testing.assert_allclose(normalization.std, 255 * np.array([0.229, 0.224, 0.225]))


@pytest.mark.parametrize("bands", [1, 5])
def test_imagenet_normalisation_needs_3_bands(tmp_path: Path, bands: int) -> None:
    path = write_tiff(tmp_path / "a.tif", noise(bands, 80, 80))

    with pytest.raises(ConfigurationError, match=f"imagenet needs 3 bands, got {bands}"):
        look_at([path], FRAMING, "imagenet")


@pytest.mark.parametrize("rule", ["data", "published", "imagenet"])
def test_images_of_different_bands_are_refused(tmp_path: Path, rule: NormalizationRule) -> None:
    paths = [write_tiff(tmp_path / f"{n}.tif", noise(n, 80, 80)) for n in (3, 5)]

    with pytest.raises(DatasetError, match=r"5.tif has 5 bands, the images before have 3"):
        look_at(paths, FRAMING, rule)


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

    look_at([enough], framing, "data")
    with pytest.raises(DatasetError, match=f"small.tif is {least}x200, .* sides over {least} px"):
        look_at([enough, small], framing, "data")


def test_validation_images_are_looked_at_too(scenes: SegmentationFolder) -> None:
    (sample,) = scenes.split("validation")
    sample.image.unlink()
    write_tiff(sample.image.with_suffix(".tif"), noise(5, 160, 128))

    with pytest.raises(DatasetError, match="5 bands, the images before have 3"):
        prepared(tiny_config(scenes.root, scenes.root / "run"))


@pytest.mark.parametrize(
    "framing", [replace(FRAMING, patch_size=32), replace(FRAMING, thumbnail_size=32)]
)
def test_patches_and_thumbnails_of_a_single_cell_are_refused(
    scenes: SegmentationFolder, framing: Framing
) -> None:
    config = tiny_config(scenes.root, scenes.root / "run")

    with pytest.raises(ConfigurationError, match="patch_size and thumbnail_size over 32, got 32"):
        prepared(replace(config, framing=framing))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_refused(scenes: SegmentationFolder) -> None:
    config = tiny_config(scenes.root, scenes.root / "run")

    with pytest.raises(ConfigurationError, match="device cuda was asked for"):
        prepared(replace(config, run=RunConfig(device="cuda")))


def test_no_stage_to_train_is_refused(scenes: SegmentationFolder) -> None:
    config = tiny_config(scenes.root, scenes.root / "run")
    idle = replace(config.stages.local, epochs=0)
    stages = StagesConfig(context=idle, local=idle, refined=idle)
    run = prepared(replace(config, stages=stages))

    with pytest.raises(ConfigurationError, match="no stage to train"):
        run.stages()


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ("local only", ["local"]),
        ("global only", ["context"]),
        ("aggregation only", ["context", "local"]),
        ("deep", ["context", "local"]),
        ("bidirectional", ["context", "local", "refined"]),
    ],
)
def test_stages_are_those_of_the_architecture(
    scenes: SegmentationFolder, row: str, names: list[str]
) -> None:
    run = prepared(tiny_config(scenes.root, scenes.root / "run", row))

    assert [stage.name for stage in run.stages()] == names


def test_a_stage_of_0_epochs_is_left_out(scenes: SegmentationFolder) -> None:
    config = tiny_config(scenes.root, scenes.root / "run")
    stages = replace(config.stages, refined=replace(config.stages.refined, epochs=0))

    run = prepared(replace(config, stages=stages))

    assert [stage.name for stage in run.stages()] == ["context", "local"]


@pytest.mark.parametrize(("start", "is_same"), [("context", True), ("fresh", False)])
def test_a_branch_starts_where_it_is_told(
    scenes: SegmentationFolder, start: Start, is_same: bool
) -> None:
    config = tiny_config(scenes.root, scenes.root / "run")
    stage = replace(config.stages.local, start=start)
    run = prepared(replace(config, stages=replace(config.stages, local=stage, refined=stage)))

    for of in run.stages():
        run.start(of)

    network: Any = run.network
    theirs = network.context.backbone.state_dict().values()
    for branch in (network.local, network.refined):
        pairs = zip(branch.backbone.state_dict().values(), theirs, strict=True)
        assert all(torch.equal(ours, other) for ours, other in pairs) == is_same


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_reading_processes_lay_images_anew_in_every_epoch(scenes: SegmentationFolder) -> None:
    config = tiny_config(scenes.root, scenes.root / "run")
    config = replace(config, data=replace(config.data, workers=1, cache_mib=0))
    run = prepared(replace(config, stages=replace(config.stages, context=config.stages.local)))
    _, local, _ = run.stages()

    epochs = [[look.turn for (look,) in local.training] for _ in range(4)]

    assert any(epoch != epochs[0] for epoch in epochs[1:])
