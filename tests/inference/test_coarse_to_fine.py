"""Coarse-to-fine: only boxes around what the coarse branch found are refined."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.warp import transform
from torch import Tensor, nn
from torch.nn import functional

from glnet.errors import ConfigurationError, OutputError
from glnet.geometry import Size, Window, strips
from glnet.inference import groups, journal, scene
from glnet.inference.coarse import CoarseAnswer, coarse_answer, coarse_look, coarse_planes
from glnet.inference.estimate import estimate
from glnet.inference.forming import form_of
from glnet.inference.jobs import Extras
from glnet.inference.predictor import Predictor
from glnet.inference.segment import segment, segment_file
from glnet.inference.settings import Progress, Settings
from glnet.inference.starting import Rules
from glnet.inference.streaming import Answer, answers_of, predict
from glnet.model.branch import BranchOutput
from glnet.model.checkpoint import Model, load_model, save_model
from glnet.model.coarse import coarse_of
from glnet.model.config import CoarseToFine, ModelConfig
from glnet.model.features import BranchFeatures
from glnet.model.glnet import GLNet
from glnet.raster import ArrayRaster, Masked, Palette, open_raster
from tests.inference.pictures import picture
from tests.model.tiny import CLASSES, tiny_model
from tests.raster.raster_files import read_all, write_tiff

CPU = torch.device("cpu")
ROOMY = Settings(patch_batch=2)
Pixels = NDArray[np.uint8]


class Bright(nn.Module):
    """A coarse branch that takes what is very bright for foreground."""

    def forward(self, pixels: Tensor, listen: object = None) -> BranchOutput:
        del listen
        bright = functional.avg_pool2d(pixels.mean(1, keepdim=True), 4) - 2.0
        logits = torch.cat([-bright, bright], 1)
        return BranchOutput(BranchFeatures((), (), (), ()), logits[:, :0], logits)


def _model(row: str = "bidirectional", boxes: str = "one") -> Model:
    model = tiny_model(row, coarse_to_fine=CoarseToFine(boxes=boxes))  # type: ignore[arg-type]
    model.network.coarse = Bright()  # type: ignore[assignment]
    return model


def _plain(model: Model) -> Model:
    """The same weights without a coarse branch."""
    own = model.network
    network = GLNet(own.context, own.local, own.refined, own.aggregation)
    return Model(network, replace(model.config, coarse_to_fine=None))


def _scene(height: int = 300, width: int = 260, *spots: tuple[int, int]) -> Pixels:
    """Dull, with bright squares of 40 px."""
    pixels = picture(height, width) // 2
    for row, column in spots or ((120, 100),):
        pixels[row : row + 40, column : column + 40] = 250
    return pixels


def _labels(model: Model, pixels: Pixels, boxes: tuple[Window, ...]) -> Pixels:
    raster = ArrayRaster(pixels)
    logits = torch.stack([torch.ones(16, 16), torch.zeros(16, 16)])
    with predict(model, raster, ROOMY, coarse=CoarseAnswer(boxes, logits)) as prediction:
        window = Window(0, 0, raster.size)
        labels: Pixels = prediction.labels(answers_of(model)[-1], window, CPU)
        return labels


@pytest.mark.parametrize("answer", [Answer.GLOBAL, Answer.LOCAL, Answer.AGGREGATED])
def test_a_box_that_is_the_whole_image_changes_nothing(answer: Answer) -> None:
    model, raster = _model(), ArrayRaster(_scene())
    whole = Window(0, 0, raster.size)
    coarse = CoarseAnswer((whole,), torch.zeros(2, 16, 16))

    with (
        predict(model, raster, ROOMY, (answer,), coarse=coarse) as boxed,
        predict(_plain(model), raster, ROOMY, (answer,)) as plain,
        predict(model, raster, replace(ROOMY, everywhere=True), (answer,)) as everywhere,
    ):
        expected = plain.scores(answer, whole, CPU)

        assert torch.equal(boxed.scores(answer, whole, CPU), expected)
        assert torch.equal(everywhere.scores(answer, whole, CPU), expected)
        assert torch.equal(boxed.weight(answer, whole, CPU), plain.weight(answer, whole, CPU))


def test_boxes_are_whole_images_to_the_others_and_the_rest_is_background() -> None:
    model, pixels = _model(), _scene()
    boxes = (Window(10, 20, Size(100, 90)), Window(150, 60, Size(120, 170)))

    labels = _labels(model, pixels, boxes)

    for box in boxes:
        cut = np.ascontiguousarray(pixels[box.slices])
        assert np.array_equal(labels[box.slices], segment(cut, _plain(model), patch_batch=2))
        assert labels[box.slices].any()
        labels[box.slices] = 0
    assert not labels.any()


def test_what_lies_in_a_box_is_answered_alike_wherever_it_lies() -> None:
    model, box = _model(), Window(90, 70, Size(110, 100))
    pixels = np.full((300, 260, 3), 60, dtype=np.uint8)
    pixels[box.slices] = _scene()[box.slices]
    shifted = np.roll(pixels, (37, -21), axis=(0, 1))

    labels = _labels(model, pixels, (box,))
    moved = _labels(model, shifted, (box.moved(37, -21),))

    assert np.array_equal(moved, np.roll(labels, (37, -21), axis=(0, 1)))


def test_the_box_is_drawn_around_what_the_coarse_branch_found(tmp_path: Path) -> None:
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(_scene(), 2, 0))
    wished = Extras(boxes=True, overlay=True, confidence=True)

    report = segment_file(image, tmp_path / "b.tif", _model(), ROOMY, extras=wished)

    assert report.boxes is not None
    (box,) = report.boxes
    found = Window(box.row, box.column, Size(box.height, box.width))
    spot = Window(120, 100, Size(40, 40))
    assert found.shared(spot) == spot
    assert 0 < report.patches < report.patches_everywhere
    assert report.context.startswith("1 box around the foreground, ")
    labels = read_all(tmp_path / "b.tif", Palette.KEEP)[0]
    inside = np.zeros_like(labels, dtype=bool)
    inside[box.row : box.row + box.height, box.column : box.column + box.width] = True
    assert not labels[~inside].any()
    (feature,) = json.loads((tmp_path / "b_boxes.geojson").read_text())["features"]
    assert feature["properties"] == {
        "row": box.row,
        "column": box.column,
        "height": box.height,
        "width": box.width,
    }
    with open_raster(tmp_path / "b_overlay.png") as overlay:
        frame = overlay.read(Window(box.row, box.column + 5, Size(1, box.width - 10)))
    assert (frame == 255).all()
    confidence = read_all(tmp_path / "b_confidence.tif")[0]
    assert confidence.min() >= 127


class Counting(ArrayRaster):
    """Remembers what is read of it."""

    def __init__(self, pixels: Pixels) -> None:
        super().__init__(pixels)
        self.windows: list[Window] = []

    def read_masked(self, window: Window) -> Masked:
        self.windows.append(window)
        return super().read_masked(window)


def test_only_the_thumbnail_and_the_box_are_read() -> None:
    scene = _scene(1200, 900, (700, 500))
    scene[600:850, 400:650] = 250
    raster, model = Counting(scene), _model()
    form = form_of(coarse_of(model), ROOMY).form
    coarse = coarse_answer(coarse_look(form, coarse_planes(model, raster), ROOMY), model, raster)
    (box,), once = coarse.boxes, sum(of.size.area for of in raster.windows)
    raster.windows.clear()

    with predict(model, raster, ROOMY, coarse=coarse) as prediction:
        for strip in strips(raster.size, 100):
            prediction.labels(Answer.AGGREGATED, strip, CPU)

    assert once <= 1.2 * raster.size.area
    assert box.size.area < raster.size.area / 3
    assert raster.windows
    assert all(of.shared(box) == of for of in raster.windows)


def test_without_foreground_all_is_background(tmp_path: Path) -> None:
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(picture(200, 180) // 2, 2, 0))

    report = segment_file(
        image, tmp_path / "b.tif", _model(), ROOMY, extras=Extras(boxes=True, vector=".geojson")
    )

    assert (report.boxes, report.patches) == ((), 0)
    assert not read_all(tmp_path / "b.tif", Palette.KEEP).any()
    assert json.loads((tmp_path / "b_boxes.geojson").read_text())["features"] == []
    assert report.context == "0 boxes around the foreground, 0% of the image"


def test_with_foreground_everywhere_all_is_refined(tmp_path: Path) -> None:
    image = write_tiff(tmp_path / "a.tif", np.full((3, 200, 180), 255, dtype=np.uint8))
    model = _model()

    report = segment_file(image, tmp_path / "b.tif", model, ROOMY)

    assert report.patches == report.patches_everywhere > 0
    expected = segment(image, _plain(model), patch_batch=2)
    assert np.array_equal(read_all(tmp_path / "b.tif", Palette.KEEP)[0], expected)


@pytest.mark.parametrize("size", [(20, 25), (40, 300), (64, 64)])
def test_images_smaller_than_a_patch(size: tuple[int, int]) -> None:
    pixels = np.full((*size, 3), 30, dtype=np.uint8)
    pixels[5:15, 5:15] = 255

    labels = segment(pixels, _model())

    assert labels.shape == size


def test_what_is_no_measurement_is_no_foreground_and_stays_nodata(tmp_path: Path) -> None:
    pixels = _scene(300, 260, (30, 30), (200, 180))
    # The second spot is not there: 255 is no measurement.
    pixels[200:240, 180:220] = 255
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(pixels, 2, 0), nodata=255)

    report = segment_file(image, tmp_path / "b.tif", _model(boxes="each"), ROOMY)

    assert report.boxes is not None
    assert len(report.boxes) == 1
    labels = read_all(tmp_path / "b.tif", Palette.KEEP)[0]
    is_hole = (pixels == 255).all(axis=2)
    assert np.array_equal(labels == 255, is_hole)


def _stopping(calls: int) -> Progress:
    """Progress that ends the process when it is told for so manieth time."""
    left = iter(range(calls))

    def progress(phase: str, done: int, total: int) -> None:
        del phase, done, total
        if next(left, None) is None:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("turns", ["none", "flips"])
def test_a_run_over_several_boxes_goes_on_wherever_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns: str
) -> None:
    monkeypatch.setattr(journal, "SECONDS_BETWEEN_NOTES", 0)
    monkeypatch.setattr(journal, "PAUSE_SHARE", 0)
    monkeypatch.setattr(groups, "GROUP", 4)
    scene = _scene(400, 300, (40, 40), (290, 200))
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(scene, 2, 0))
    how = replace(ROOMY, turns=turns)  # type: ignore[arg-type]
    model = _model(boxes="each")
    report = segment_file(image, tmp_path / "whole.tif", model, how, extras=Extras(boxes=True))
    assert report.boxes is not None
    assert len(report.boxes) == 2
    stops = 0

    for calls in range(500):
        try:
            segment_file(
                image,
                tmp_path / "b.tif",
                model,
                how,
                extras=Extras(boxes=True),
                rules=Rules(resume=True),
                progress=_stopping(calls % 5),
            )
            break
        except KeyboardInterrupt:
            stops += 1

    assert stops > 2
    assert (tmp_path / "b.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert not journal.unfinished_beside(tmp_path / "b.tif").exists()


def test_a_stored_model_answers_like_the_one_in_memory(tmp_path: Path) -> None:
    model = tiny_model(coarse_to_fine=CoarseToFine())
    save_model(model, tmp_path / "model")
    pixels = _scene()

    stored = segment(pixels, tmp_path / "model")

    assert np.array_equal(stored, segment(pixels, model))
    assert load_model(tmp_path / "model").config == model.config


def test_the_coarse_branch_alone_is_an_ordinary_model(tmp_path: Path) -> None:
    model = tiny_model(coarse_to_fine=CoarseToFine())
    pixels = _scene()

    save_model(coarse_of(model), tmp_path / "coarse")

    assert segment(pixels, tmp_path / "coarse").shape == pixels.shape[:2]
    with pytest.raises(ConfigurationError, match="no coarse branch"):
        coarse_of(load_model(tmp_path / "coarse"))


def test_boxes_of_a_model_without_a_coarse_branch_are_refused(tmp_path: Path) -> None:
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(_scene(), 2, 0))

    with pytest.raises(ConfigurationError, match="--boxes is for coarse-to-fine models"):
        segment_file(image, tmp_path / "b.tif", tiny_model(), ROOMY, extras=Extras(boxes=True))

    assert [of.name for of in tmp_path.iterdir()] == ["a.tif"]


def test_boxes_that_lie_nowhere_are_refused_before_the_image_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = _placed(tmp_path, 'LOCAL_CS["site",UNIT["metre",1]]')
    monkeypatch.setattr(Predictor, "coarse", lambda *_: pytest.fail("the image was read"))

    with pytest.raises(OutputError, match=r"longitude and latitude.*and no boxes"):
        segment_file(image, tmp_path / "b.tif", _model(), ROOMY, extras=Extras(boxes=True))

    assert [of.name for of in tmp_path.iterdir()] == ["a.tif"]


def test_a_box_with_a_corner_in_space_is_refused_before_any_patch_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = _placed(tmp_path, "EPSG:32633")
    monkeypatch.setattr(
        "glnet.vector.placement.reprojected",
        lambda *of: transform(*of) if len(of[2]) == 1 else [[float("inf")] * len(of[2])] * 2,
    )
    monkeypatch.setattr(scene, "predict", lambda *_, **__: pytest.fail("patches were read"))

    with pytest.raises(OutputError, match="some of its points have none"):
        segment_file(image, tmp_path / "b.tif", _model(), ROOMY, extras=Extras(boxes=True))

    assert not (tmp_path / "b.tif").exists()
    assert not (tmp_path / "b_boxes.geojson").exists()


def _placed(folder: Path, crs: str) -> Path:
    """The scene as a file that says where it lies."""
    path, pixels = folder / "a.tif", np.moveaxis(_scene(), 2, 0)
    corner = Affine(1, 0, 500_000, 0, -1, 5_000_000)
    return write_tiff(path, pixels, crs=CRS.from_user_input(crs), transform=corner)


def test_more_than_two_classes_are_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigurationError, match="--refine-below"):
        ModelConfig(classes=CLASSES, coarse_to_fine=CoarseToFine())


def test_the_estimate_is_that_of_the_whole_image_and_the_coarse_branch() -> None:
    model = tiny_model(coarse_to_fine=CoarseToFine())
    size = Size(500, 400)

    found = estimate(model, size, ROOMY)
    plain = estimate(model, size, replace(ROOMY, everywhere=True))
    coarse = estimate(coarse_of(model), size, ROOMY)

    assert found.multiply_adds == plain.multiply_adds + coarse.multiply_adds
    assert plain.device_bytes < found.device_bytes <= plain.device_bytes + coarse.device_bytes
