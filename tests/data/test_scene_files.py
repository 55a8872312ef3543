from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.errors import RasterioIOError

from glnet.data.folder import SegmentationFolder
from glnet.data.scene_files import SCENE_GEOREFERENCE, write_dataset, write_scene_geotiff
from glnet.data.synthetic import SCENE_CLASSES, SceneSettings, make_scene
from glnet.errors import ConfigurationError, OutputError
from glnet.geometry import Size, Window
from glnet.raster import Palette, open_raster

SMALL = SceneSettings(Size(300, 280))
WHOLE = Window(0, 0, SMALL.size)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_written_dataset_reads_back_as_its_scenes(
    tmp_path: Path, suffix: Literal[".png", ".tif"]
) -> None:
    folder = write_dataset(tmp_path / "new", SMALL, {"train": 2, "validation": 1}, 7, suffix)

    assert folder.splits == ("train", "validation", "all")
    assert folder.description.classes == SCENE_CLASSES
    samples = [*folder.split("train"), *folder.split("validation")]
    assert [sample.image.name for sample in samples] == [
        f"{stem}{suffix}" for stem in ("train_000", "train_001", "validation_000")
    ]
    for seed, sample in enumerate(samples, 7):
        scene = make_scene(SMALL, seed)
        with sample.open_image() as image:
            np.testing.assert_array_equal(image.read(WHOLE), scene.image)
        with sample.open_labels(folder.description) as labels:
            np.testing.assert_array_equal(labels.read(WHOLE), scene.labels)
    assert SegmentationFolder.open(tmp_path / "new").samples == folder.samples


def test_a_written_scene_knows_where_it_lies(tmp_path: Path) -> None:
    write_scene_geotiff(tmp_path / "scene.tif", tmp_path / "truth.tif", SMALL, seed=2)

    scene = make_scene(SMALL, 2)
    for name, pixels in (("scene.tif", scene.image), ("truth.tif", scene.labels[None])):
        with open_raster(tmp_path / name, Palette.KEEP) as raster:
            assert raster.georeference == SCENE_GEOREFERENCE
            assert raster.georeference.crs == CRS.from_epsg(32633)
            np.testing.assert_array_equal(raster.read(WHOLE), pixels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scene.tif", "truth.tif"]


def test_writing_refuses_to_replace_unasked(tmp_path: Path) -> None:
    paths = tmp_path / "scene.tif", tmp_path / "truth.tif"
    write_scene_geotiff(*paths, SMALL)

    with pytest.raises(OutputError, match=r"scene\.tif exists already"):
        write_scene_geotiff(*paths, SMALL)
    write_scene_geotiff(*paths, SMALL, seed=1, overwrite=True)

    with open_raster(paths[0]) as raster:
        np.testing.assert_array_equal(raster.read(WHOLE), make_scene(SMALL, 1).image)


def test_a_scene_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="seed"):
        write_scene_geotiff(tmp_path / "scene.tif", tmp_path / "truth.tif", SMALL, seed=-1)

    assert list(tmp_path.iterdir()) == []


def test_what_gdal_cannot_write_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RasterioIOError("no more room")

    monkeypatch.setattr("glnet.raster.writing.images._create", fail)

    with pytest.raises(OutputError, match=r"scene\.tif could not be written whole: no more room"):
        write_scene_geotiff(tmp_path / "scene.tif", tmp_path / "truth.tif", SMALL)


def test_a_dataset_goes_to_a_free_folder(tmp_path: Path) -> None:
    write_dataset(tmp_path, SMALL, {"train": 1})

    with pytest.raises(OutputError, match="holds a dataset already"):
        write_dataset(tmp_path, SMALL, {"train": 1})
    with pytest.raises(OutputError, match="the folders cannot be made"):
        write_dataset(tmp_path / "dataset.yaml", SMALL, {"train": 1})


@pytest.mark.parametrize("counts", [{}, {"train": 0}])
def test_a_dataset_has_scenes_in_every_split(tmp_path: Path, counts: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="at least one scene each"):
        write_dataset(tmp_path, SMALL, counts)
