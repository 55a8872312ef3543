"""Laws of `segment` and `segment_file`: one answer, whichever way it is asked for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from numpy.typing import NDArray

from glnet.errors import (
    CheckpointError,
    ConfigurationError,
    InputMismatchError,
    OutputError,
    RasterError,
)
from glnet.inference import segment as segment_module
from glnet.inference.jobs import Extras, Job, check_job
from glnet.inference.segment import segment, segment_file
from glnet.inference.streaming import Prediction, Settings
from glnet.model.checkpoint import Model, save_model
from glnet.model.fpn import FPN
from glnet.raster import Palette, open_raster
from glnet.raster.gdal import gdal_settings
from tests.inference.pictures import picture
from tests.model.tiny import tiny_model
from tests.raster.raster_files import read_all, write_tiff

PLACE = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 400000, 0, -0.5, 5000000)}


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_tiff(tmp_path / "scene.tif", np.moveaxis(picture(120, 150), 2, 0), **PLACE)


def _read(path: Path) -> NDArray[Any]:
    labels: NDArray[Any] = read_all(path, Palette.KEEP)[0]
    return labels


def test_file_path_and_array_give_the_same_labels(
    model: Model, scene: Path, tmp_path: Path
) -> None:
    save_model(model, tmp_path / "model")

    segment_file(scene, tmp_path / "labels.tif", tmp_path / "model", Settings())

    labels = segment(picture(120, 150), model)
    assert labels.dtype == np.uint8
    assert len(np.unique(labels)) > 1
    assert np.array_equal(segment(scene, model), labels)
    assert np.array_equal(_read(tmp_path / "labels.tif"), labels)


def test_grey_arrays_need_no_band_axis() -> None:
    grey = tiny_model(bands=1)
    pixels = picture(70, 80, bands=1)

    labels = segment(pixels[:, :, 0], grey)

    assert np.array_equal(labels, segment(pixels, grey))


@pytest.mark.parametrize("row", ["local only", "global only", "deep", "deep, not aggregated"])
def test_every_form_of_the_network_segments(row: str, scene: Path, tmp_path: Path) -> None:
    form = tiny_model(row)

    report = segment_file(scene, tmp_path / "labels.tif", form, Settings())

    assert np.array_equal(_read(tmp_path / "labels.tif"), segment(scene, form))
    assert report.patches == (0 if row == "global only" else 9)


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".png"])
def test_place_colours_and_names_are_carried(
    suffix: str, model: Model, scene: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"labels{suffix}"

    segment_file(scene, path, model, Settings())

    with open_raster(scene) as image, open_raster(path) as labels, rasterio.open(path) as file:
        assert labels.georeference == image.georeference
        assert labels.size == image.size
        assert labels.palette is not None
        assert [labels.palette[k] for k in range(3)] == [of.color for of in model.config.classes]
        assert file.tags()["GLNET_CLASSES"] == '["nothing", "field", "water"]'


@pytest.mark.parametrize("batch", [1, 5, 64])
def test_the_patch_batch_does_not_change_the_file(
    batch: int, model: Model, scene: Path, tmp_path: Path
) -> None:
    segment_file(scene, tmp_path / "labels.tif", model, Settings(patch_batch=batch))

    agreement = np.mean(_read(tmp_path / "labels.tif") == segment(scene, model))
    assert agreement >= 0.9999


@pytest.mark.parametrize("height", [1, 7, 119, 1000])
def test_the_strip_height_does_not_change_a_pixel(
    height: int, model: Model, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = segment(scene, model)
    monkeypatch.setattr(segment_module, "strip_height", lambda _: height)
    monkeypatch.setattr(Prediction, "block_side", lambda _: height)

    assert np.array_equal(segment(scene, model), labels)
    segment_file(scene, tmp_path / "tiles.tif", model, Settings())
    assert np.array_equal(_read(tmp_path / "tiles.tif"), labels)


def test_the_image_before_does_not_matter(model: Model, scene: Path) -> None:
    alone = segment(scene, model)

    segment(picture(300, 90, seed=4), model)

    assert np.array_equal(segment(scene, model), alone)


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (31, 33)])
def test_images_of_any_size_get_their_labels(
    shape: tuple[int, int], model: Model, tmp_path: Path
) -> None:
    pixels = picture(*shape)
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(pixels, 2, 0))

    extras = Extras(overlay=True, confidence=True, probabilities=True)
    report = segment_file(image, tmp_path / "b.tif", model, Settings(), extras=extras)

    assert (report.height, report.width) == shape
    assert _read(tmp_path / "b.tif").shape == shape
    assert np.array_equal(_read(tmp_path / "b.tif"), segment(pixels, model))


def test_an_overlay_keeps_the_aspect_of_a_large_image(tmp_path: Path) -> None:
    wide = tiny_model("global only")
    image = write_tiff(tmp_path / "a.tif", np.zeros((3, 20, 5000), dtype=np.uint16))

    segment_file(image, tmp_path / "b.tif", wide, Settings(), extras=Extras(overlay=True))

    with open_raster(tmp_path / "b_overlay.png") as overlay:
        assert (overlay.size.height, overlay.size.width) == (8, 2048)


def test_the_report_tells_what_was_done(model: Model, scene: Path, tmp_path: Path) -> None:
    report = segment_file(scene, tmp_path / "labels.tif", model, Settings(device="cpu"))

    labels = _read(tmp_path / "labels.tif")
    names = [of.name for of in model.config.classes]
    assert [of.name for of in report.classes] == names
    assert [of.pixels for of in report.classes] == [np.sum(labels == k) for k in range(len(names))]
    assert sum(of.share for of in report.classes) == pytest.approx(1)
    assert report.nodata_pixels == 0
    assert (report.height, report.width, report.patches) == (120, 150, 9)
    assert report.megapixels_per_second == pytest.approx(0.018 / report.seconds)
    assert (report.device, report.precision, report.blending) == ("cpu", "float32", "feathered")
    assert report.context.startswith("whole image")
    assert report.overlay is None
    assert report.peak_device_bytes is None
    assert report.to_dict()["output"] == str(tmp_path / "labels.tif")


def test_the_report_tells_of_which_overview_the_thumbnail_was_made(
    model: Model, tmp_path: Path
) -> None:
    side = model.config.framing.thumbnail_size * 8
    pixels = np.random.default_rng(0).integers(1, 255, (3, side, side), dtype=np.uint8)
    image = write_tiff(tmp_path / "a.tif", pixels)

    without = segment_file(image, tmp_path / "b.tif", model, Settings())
    with gdal_settings(), rasterio.open(image, "r+") as file:
        file.build_overviews([2, 4])
    told = segment_file(image, tmp_path / "c.tif", model, Settings())

    assert without.thumbnail == "all pixels"
    assert told.thumbnail == "the file's overview, 2 times smaller"


def test_progress_runs_through_patches_and_rows(model: Model, scene: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    segment_file(
        scene, tmp_path / "a.tif", model, Settings(), progress=lambda *step: told.append(step)
    )

    assert told[0] == ("patches", 0, 9)
    assert ("patches", 9, 9) in told
    assert told[-1] == ("writing", 1, 1)


MEMORY_ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 TiB"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    MemoryError(),
]


@pytest.mark.parametrize("error", MEMORY_ERRORS)
def test_a_lack_of_memory_is_told_with_a_way_out(
    error: Exception, model: Model, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FPN, "layers", _raiser(error))

    with pytest.raises(ConfigurationError, match="lower the patch batch"):
        segment_file(scene, tmp_path / "labels.tif", model, Settings(patch_batch=8))
    with pytest.raises(ConfigurationError, match="even for one patch"):
        segment(scene, model, patch_batch=1)

    assert list(tmp_path.iterdir()) == [scene]


def test_other_errors_of_torch_stay_what_they_are(
    model: Model, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FPN, "layers", _raiser(RuntimeError("shapes differ")))

    with pytest.raises(RuntimeError, match="shapes differ"):
        segment_file(scene, tmp_path / "labels.tif", model, Settings())

    assert list(tmp_path.iterdir()) == [scene]


def _raiser(error: Exception) -> object:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "quantum"])
def test_devices_that_are_not_there_are_refused(device: str, model: Model) -> None:
    with pytest.raises(ConfigurationError, match=device):
        segment(picture(40, 40), model, device=device)


def test_unknown_numbers_are_refused(model: Model) -> None:
    settings = replace(Settings(), precision="fp16")  # type: ignore[arg-type]

    with pytest.raises(
        ConfigurationError, match="one of auto, float32, bfloat16, float16, got fp16"
    ):
        segment_file("a.tif", "b.tif", model, settings)


def test_impossible_images_and_models_are_refused(model: Model, tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="does not exist"):
        segment(tmp_path / "nowhere.tif", model)
    with pytest.raises(RasterError, match="height, width"):
        segment(np.zeros(5), model)
    with pytest.raises(InputMismatchError, match="is read with 4 bands, the model takes 3"):
        segment(picture(50, 50, bands=4), model)
    with pytest.raises(CheckpointError, match="is no model"):
        segment(picture(50, 50), tmp_path)


@pytest.mark.parametrize("name", ["missing/a.png", "a.bmp", "folder.png", "there.png"])
def test_places_that_cannot_be_written_are_found_out_before_the_work(
    name: str, model: Model, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("glnet.inference.scene.predict")
    (tmp_path / "there.png").touch()
    (tmp_path / "folder.png").mkdir()

    with pytest.raises(OutputError, match=Path(name).name):
        segment_file(scene, tmp_path / name, model, Settings())
    labels = tmp_path / "labels.tif"
    with pytest.raises(OutputError, match=Path(name).name):
        check_job(Job(scene, labels, tmp_path / name), overwrite=False)

    assert not labels.exists()
