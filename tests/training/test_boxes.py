"""Boxes are drawn around the truth and what the coarse branch predicts, and moved a little."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from glnet.data import LabelledSample, SegmentationFolder
from glnet.geometry import Size, Window
from glnet.inference.boxes import boxes_of
from glnet.inference.coarse import coarse_answer, coarse_look, coarse_planes
from glnet.inference.machine import resolved
from glnet.inference.settings import Settings
from glnet.model.checkpoint import Model, new_model
from glnet.model.coarse import coarse_of
from glnet.model.config import Boxes, CoarseToFine, ModelConfig, Normalization
from glnet.model.forms import PlainForm
from glnet.model.glnet import required
from glnet.raster import ArrayRaster
from glnet.training.boxes import DRAWING, PREDICTING, BoxChoice, BoxDrawing, jittered
from glnet.training.config import CoarseToFineTraining
from glnet.training.images import LabelledImage, PixelCache
from tests.model.tiny import ARCHITECTURES
from tests.training.boxed_run import GROUND, SPOTS, BrightIsForeground, write_spots
from tests.training.tiny_run import FRAMING

LEAST = Size(FRAMING.patch_size, FRAMING.patch_size)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SegmentationFolder:
    return write_spots(tmp_path_factory.mktemp("boxes") / "data")


def model_of(data: SegmentationFolder, boxes: Boxes = "one") -> Model:
    """With weights that nobody has trained."""
    torch.manual_seed(0)
    return new_model(
        ModelConfig(
            classes=data.description.classes,
            architecture=ARCHITECTURES["deep"],
            framing=FRAMING,
            normalization=Normalization((56.0,) * 3, (38.0,) * 3),
            coarse_to_fine=CoarseToFine(boxes=boxes),
        )
    )


def images_of(data: SegmentationFolder, model: Model) -> list[LabelledImage]:
    cache = PixelCache(2**30)
    return [
        LabelledImage(sample, data.description, FRAMING, model.config.normalization, cache)
        for sample in data.samples
    ]


@pytest.mark.parametrize("boxes", ["one", "each"])
def test_boxes_of_the_truth_are_drawn_as_ever_around_labels_at_the_thumbnails_size(
    data: SegmentationFolder, boxes: Boxes
) -> None:
    config = model_of(data, boxes).config
    told: list[tuple[str, int, int]] = []

    drawn = BoxDrawing(config, lambda *of: told.append(of)).around_truth(
        data.samples, data.description
    )

    rule = required(config.coarse_to_fine, "rule")
    rows = ((np.arange(64) + 0.5) * GROUND.height / 64).astype(int)
    columns = ((np.arange(64) + 0.5) * GROUND.width / 64).astype(int)
    for sample in data.samples:
        assert sample.mask is not None
        labels = np.array(Image.open(sample.mask))
        assert (labels == 255).any()
        mask = (labels == 1)[np.ix_(rows, columns)]
        assert drawn[sample.stem] == boxes_of(mask, GROUND, rule, LEAST)
    assert {len(of) for of in drawn.values()} == {1 if boxes == "one" else 2}
    assert told == [(DRAWING, k + 1, 4) for k in range(4)]


def test_boxes_of_the_truth_hold_all_foreground(data: SegmentationFolder) -> None:
    drawn = BoxDrawing(model_of(data, "each").config).around_truth(data.samples, data.description)

    for sample in data.samples:
        assert sample.mask is not None
        labels = np.array(Image.open(sample.mask)) == 1
        for box in drawn[sample.stem]:
            assert labels[box.slices].any()
            labels[box.slices] = False
        assert not labels.any()


@pytest.mark.parametrize("boxes", ["one", "each"])
def test_predicted_boxes_are_those_that_prediction_draws(
    data: SegmentationFolder, boxes: Boxes
) -> None:
    model = model_of(data, boxes)
    branch = required(model.network.coarse, "coarse branch")
    told: list[tuple[str, int, int]] = []

    drawing = BoxDrawing(model.config, lambda *of: told.append(of))
    drawn = drawing.around_predicted(branch, images_of(data, model), CPU)

    form = PlainForm(coarse_of(model).network.eval(), CPU, torch.float32)
    settings = resolved(Settings(device="cpu", precision="float32"))
    for sample in data.samples:
        with sample.open_image() as raster:
            look = coarse_look(form, coarse_planes(model, raster), settings)
            assert drawn[sample.stem] == coarse_answer(look, model, raster).boxes
    assert any(drawn.values())
    assert told == [(PREDICTING, k + 1, 4) for k in range(4)]


def test_boxes_are_drawn_around_what_the_branch_takes_for_foreground(
    data: SegmentationFolder,
) -> None:
    model = model_of(data, "each")

    drawn = BoxDrawing(model.config).around_predicted(
        BrightIsForeground(model.config.normalization),  # type: ignore[arg-type]
        images_of(data, model),
        CPU,
    )

    for boxes in drawn.values():
        assert len(boxes) == len(SPOTS)
        for box, spot in zip(boxes, SPOTS, strict=True):
            shared = box.shared(spot)
            assert shared is not None
            assert shared.size.area > spot.size.area / 2


def test_predicting_leaves_the_branch_as_it_was(data: SegmentationFolder) -> None:
    model = model_of(data)
    branch = required(model.network.coarse, "coarse branch").train()
    before = {name: of.clone() for name, of in branch.state_dict().items()}

    BoxDrawing(model.config).around_predicted(branch, images_of(data, model), CPU)

    assert branch.training
    assert all(torch.equal(of, before[name]) for name, of in branch.state_dict().items())


class _Photograph:
    """A sample whose pixels and labels lie in memory."""

    def __init__(self, raster: ArrayRaster, like: LabelledSample) -> None:
        self.stem = self.name = "photograph"
        self.raster = raster
        self.open_labels = like.open_labels

    def open_image(self) -> "_Photograph":
        return self

    def __enter__(self) -> ArrayRaster:
        return self.raster

    def __exit__(self, *_: object) -> None:
        pass


def test_what_is_no_measurement_is_no_foreground(data: SegmentationFolder) -> None:
    """Foreground everywhere; but only the upper rows are a measurement."""
    model = model_of(data)
    valid = np.zeros((GROUND.height, GROUND.width), bool)
    valid[:50] = True
    white = np.full((GROUND.height, GROUND.width, 3), 255, np.uint8)
    sample = _Photograph(ArrayRaster(white, valid=valid), data.samples[0])
    image = LabelledImage(
        sample,
        data.description,
        FRAMING,
        Normalization((0.0,) * 3, (1.0,) * 3),
        PixelCache(0),
    )
    rule = required(model.config.coarse_to_fine, "rule")

    class Bright(torch.nn.Module):
        def forward(self, _: torch.Tensor) -> "Bright":
            self.logits = torch.stack([torch.zeros(1, 64, 64), torch.ones(1, 64, 64)], dim=1)
            return self

    drawn = BoxDrawing(model.config).around_predicted(
        Bright(),  # type: ignore[arg-type]
        [image],
        CPU,
    )

    measured = required(image.measured, "mask")
    assert not measured.all()
    assert drawn["photograph"] == boxes_of(measured, GROUND, rule, LEAST)
    assert drawn["photograph"] != boxes_of(np.ones_like(measured), GROUND, rule, LEAST)


def test_images_without_foreground_have_no_box(tmp_path: Path) -> None:
    data = write_spots(tmp_path / "data", spots=())
    model = model_of(data)
    drawing = BoxDrawing(model.config)

    truth = drawing.around_truth(data.samples, data.description)
    predicted = drawing.around_predicted(
        BrightIsForeground(model.config.normalization),  # type: ignore[arg-type]
        images_of(data, model),
        CPU,
    )

    assert set(truth.values()) == set(predicted.values()) == {()}


def test_boxes_of_another_kind_of_model_are_refused(data: SegmentationFolder) -> None:
    config = replace(model_of(data).config, coarse_to_fine=None)

    with pytest.raises(ValueError, match="coarse-to-fine models alone"):
        BoxDrawing(config)


@st.composite
def boxes_in_images(draw: st.DrawFn) -> tuple[Window, Size]:
    image = Size(draw(st.integers(33, 400)), draw(st.integers(33, 400)))
    height = draw(st.integers(min(LEAST.height, image.height), image.height))
    width = draw(st.integers(min(LEAST.width, image.width), image.width))
    row = draw(st.integers(0, image.height - height))
    column = draw(st.integers(0, image.width - width))
    return Window(row, column, Size(height, width)), image


@given(drawn=boxes_in_images(), share=st.floats(0, 1), seed=st.integers())
def test_sides_move_by_their_share_at_most_within_the_image_and_not_under_the_least_box(
    drawn: tuple[Window, Size], share: float, seed: int
) -> None:
    box, image = drawn

    moved = jittered(box, image, share, LEAST, random.Random(seed))

    assert moved.is_inside(image)
    assert moved.size.height >= min(LEAST.height, image.height)
    assert moved.size.width >= min(LEAST.width, image.width)
    down, across = share * box.size.height, share * box.size.width
    assert max(abs(moved.row - box.row), abs(moved.row_stop - box.row_stop)) <= down
    assert max(abs(moved.column - box.column), abs(moved.column_stop - box.column_stop)) <= across


@given(drawn=boxes_in_images(), seed=st.integers())
def test_without_its_share_a_box_stays(drawn: tuple[Window, Size], seed: int) -> None:
    box, image = drawn

    assert jittered(box, image, 0.0, LEAST, random.Random(seed)) == box


def test_sides_move_by_all_that_they_may() -> None:
    box, luck = Window(100, 200, Size(100, 200)), random.Random(0)

    moved = [jittered(box, Size(500, 600), 0.1, LEAST, luck) for _ in range(500)]

    assert {of.row for of in moved} == set(range(90, 111))
    assert {of.row_stop for of in moved} == set(range(190, 211))
    assert {of.column for of in moved} == set(range(180, 221))
    assert {of.column_stop for of in moved} == set(range(380, 421))


TRUTH = Window(10, 20, Size(70, 80))
SMALL, LARGE = Window(0, 0, Size(64, 64)), Window(100, 80, Size(90, 100))


def a_choice(truth: float = 0.5, jitter: float = 0.0) -> BoxChoice:
    choice = BoxChoice(
        CoarseToFineTraining(truth=truth, jitter=jitter), LEAST, {"a": (TRUTH,), "nothing": ()}
    )
    choice.take_predicted({"a": (SMALL, LARGE), "nothing": ()})
    return choice


def drawn_by(choice: BoxChoice, stem: str = "a") -> list[Window | None]:
    luck = random.Random(0)
    return [choice.by_luck(stem, GROUND, luck) for _ in range(400)]


def test_the_share_of_looks_that_is_asked_for_takes_the_truth() -> None:
    assert set(drawn_by(a_choice(1.0))) == {TRUTH}
    assert set(drawn_by(a_choice(0.0))) == {SMALL, LARGE}
    seen = drawn_by(a_choice(0.25))
    assert 70 < seen.count(TRUTH) < 130
    assert 110 < seen.count(SMALL) < 190


def test_looks_move_their_boxes() -> None:
    seen = drawn_by(a_choice(1.0, jitter=0.1))

    assert len(set(seen)) > 300
    assert all(of is not None and abs(of.row - TRUTH.row) <= 7 for of in seen)


@pytest.mark.parametrize("truth", [0.0, 1.0])
def test_without_foreground_a_look_takes_the_whole_image(truth: float) -> None:
    assert set(drawn_by(a_choice(truth, jitter=0.1), "nothing")) == {None}
    assert a_choice().largest("nothing") is None


def test_the_largest_predicted_box_is_known() -> None:
    assert a_choice(1.0).largest("a") == LARGE


def test_boxes_that_are_not_predicted_yet_are_refused() -> None:
    choice = BoxChoice(CoarseToFineTraining(truth=0.0), LEAST, {"a": ()})

    assert not choice.knows_predicted
    with pytest.raises(ValueError, match="expected the coarse branch to have predicted it"):
        choice.largest("a")
    with pytest.raises(ValueError, match="expected the coarse branch to have predicted it"):
        choice.by_luck("a", GROUND, random.Random(0))


def test_the_extent_is_that_of_the_boxes_of_the_truth() -> None:
    choice = BoxChoice(CoarseToFineTraining(), LEAST, {"a": (LARGE, TRUTH), "b": (SMALL,), "c": ()})
    extent = choice.extent

    assert extent is not None
    assert (extent.smallest, extent.largest) == (SMALL.size, LARGE.size)
    assert BoxChoice(CoarseToFineTraining(), LEAST, {"c": ()}).extent is None
