"""The demonstration: what it leaves, and what it never replaces."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from glnet.demo import ALONE, MARK, DemoResult, demo_config, local_alone, run_demo
from glnet.errors import OutputError
from glnet.geometry import Window
from glnet.inference.regions import RegionRule
from glnet.inference.segment import segment_file
from glnet.inference.settings import Settings
from glnet.model.checkpoint import load_model
from glnet.raster import open_raster
from glnet.training.config_file import read_config
from glnet.training.progress import Moment
from tests.tiny_demo import LARGE_SIDE, shrink


def quiet(moment: Moment) -> None:
    """Hear nothing."""


def demonstrate(folder: Path, *, overwrite: bool = False) -> DemoResult:
    return run_demo(folder, lambda _: None, quiet, overwrite=overwrite)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a tiny demonstration leaves; not to be changed."""
    path = tmp_path_factory.mktemp("demo") / "deeper" / "demo"
    with pytest.MonkeyPatch.context() as monkeypatch:
        shrink(monkeypatch)
        demonstrate(path)
    return path


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)


def test_everything_it_tells_of_is_there(folder: Path) -> None:
    names = {path.name for path in folder.iterdir() if not path.name.endswith(".aux.xml")}

    assert names == {
        *(MARK, "data", "run", "run_local_only", "report.json", "comparison.png"),
        *("scene.tif", "scene_truth.tif", "scene_labels.tif", "scene_labels_overlay.png"),
    }
    report = json.loads((folder / "report.json").read_text())
    assert list(report["answers"]) == ["global only", "local only", "GLNet"]
    for name in ("model", "labels", "overlay", "comparison"):
        assert Path(report[name]).exists()
    miou = {title: score["mean_iou"] for title, score in report["answers"].items()}
    assert report["lead"] == miou["GLNet"] - max(miou[title] for title in ALONE)


def test_the_label_map_lies_where_the_scene_lies(folder: Path) -> None:
    with (
        rasterio.open(folder / "scene.tif") as scene,
        rasterio.open(folder / "scene_labels.tif") as labels,
    ):
        assert (labels.height, labels.width) == (LARGE_SIDE, LARGE_SIDE)
        assert labels.crs == scene.crs == "EPSG:32633"
        assert labels.transform == scene.transform
        assert labels.bounds == scene.bounds
        assert labels.dtypes == ("uint8",)
        assert set(np.unique(labels.read())) <= set(range(5))


def test_the_large_scene_is_seen_whole(folder: Path, tmp_path: Path) -> None:
    """Parts of it have no lake's country."""
    model, found = folder / "run" / "model", {}
    for context in ("auto", "whole"):
        settings = Settings(regions=RegionRule(context))
        report = segment_file(folder / "scene.tif", tmp_path / f"{context}.tif", model, settings)
        found[context] = report.context
        if context == "whole":
            with (
                open_raster(tmp_path / "whole.tif") as whole,
                open_raster(folder / "scene_labels.tif") as labels,
            ):
                window = Window(0, 0, whole.size)
                assert np.array_equal(labels.read(window), whole.read(window))

    assert "regions" in found["auto"]
    told = json.loads((folder / "report.json").read_text())["large_mean_iou"]
    assert 0 < told < 1


def test_the_large_scene_is_none_of_the_training(folder: Path) -> None:
    with open_raster(folder / "scene.tif") as scene:
        large = scene.read(Window(0, 0, scene.size))
    for path in (folder / "data" / "images").iterdir():
        with open_raster(path) as image:
            pixels = image.read(Window(0, 0, image.size))
            assert not np.array_equal(pixels, large[:, : image.size.height, : image.size.width])


def test_pictures_show_something(folder: Path) -> None:
    for name in ("comparison.png", "scene_labels_overlay.png"):
        with open_raster(folder / name) as picture:
            assert picture.bands == 3
            assert picture.read(Window(0, 0, picture.size)).std() > 10


def test_branches_are_trained_alone_and_together(folder: Path) -> None:
    model = load_model(folder / "run" / "model")
    alone = load_model(folder / "run_local_only" / "model")
    context = load_model(folder / "run" / "stages" / "context")

    assert None not in (model.network.context, model.network.local, model.network.refined)
    assert (alone.network.context, alone.network.aggregation) == (None, None)
    assert (context.network.local, context.network.aggregation) == (None, None)


def test_local_alone_differs_only_in_what_it_must(folder: Path) -> None:
    together = read_config(folder / "run" / "config.yaml")
    alone = read_config(folder / "run_local_only" / "config.yaml")

    assert alone == local_alone(together)
    assert (alone.data, alone.framing, alone.loss, alone.run) == (
        *(together.data, together.framing, together.loss, together.run),
    )
    assert alone.stages.local.epochs == together.stages.local.epochs


def test_the_real_one_is_a_configuration_that_can_be(tmp_path: Path) -> None:
    config = demo_config(tmp_path, seed=3)

    assert config.run.seed == 3
    assert local_alone(config).architecture.branches == "local"


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_something_in_it_is_left_as_it_is(tmp_path: Path, overwrite: bool) -> None:
    for name in ("data", "run"):
        (tmp_path / name).mkdir()

    with pytest.raises(OutputError, match="it is left" if overwrite else "is not empty"):
        demonstrate(tmp_path, overwrite=overwrite)

    assert {path.name for path in tmp_path.iterdir()} == {"data", "run"}


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_is_left_as_it_is(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "demo").write_text("precious")

    with pytest.raises(OutputError):
        demonstrate(tmp_path / "demo", overwrite=overwrite)

    assert (tmp_path / "demo").read_text() == "precious"


@pytest.mark.usefixtures("tiny")
def test_one_that_was_interrupted_can_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(text: str) -> None:
        if text.startswith("training"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_demo(tmp_path, interrupt, quiet)
    with pytest.raises(OutputError, match="not empty"):
        demonstrate(tmp_path)
    monkeypatch.setattr("glnet.demo.train", _stop)

    with pytest.raises(InterruptedError):
        demonstrate(tmp_path, overwrite=True)


def _stop(*_: object) -> None:
    raise InterruptedError


@pytest.mark.usefixtures("tiny")
def test_a_place_where_no_folder_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match="cannot make the folder"):
        demonstrate(tmp_path / "file" / "demo")
