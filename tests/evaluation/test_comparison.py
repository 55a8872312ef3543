import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from glnet.data import DatasetDescription, IndexEncoding, LabelRaster
from glnet.errors import InputMismatchError
from glnet.evaluation.comparison import (
    CAPTION_HEIGHT,
    MARGIN,
    Picture,
    colored,
    columns_of,
    compare,
    side_by_side,
)
from glnet.geometry import Size, Window
from glnet.inference.sampling import centres
from glnet.inference.streaming import Settings, answers_of, predict
from glnet.raster import ArrayRaster, thumbnail, to_display
from tests.model.tiny import CLASSES, tiny_model

PIXELS = np.random.default_rng(0).integers(0, 256, (150, 100, 3), dtype=np.uint8)
LABELS = np.random.default_rng(1).integers(0, 3, (150, 100), dtype=np.uint8)
COLORS = [info.color for info in CLASSES]


def truth(labels: NDArray[np.uint8] = LABELS) -> LabelRaster:
    return LabelRaster(ArrayRaster(labels), DatasetDescription(CLASSES, IndexEncoding()))


def panel(sheet: Picture, number: int, size: Size) -> Picture:
    left = MARGIN + number * (size.width + MARGIN)
    return sheet[CAPTION_HEIGHT : CAPTION_HEIGHT + size.height, left : left + size.width]


@pytest.mark.parametrize(
    ("row", "answers"), [("local only", 1), ("global only", 1), ("bidirectional", 3)]
)
def test_a_comparison_has_a_panel_for_image_truth_and_every_answer(row: str, answers: int) -> None:
    sheet = compare(columns_of(tiny_model(row)), ArrayRaster(PIXELS), truth(), Settings(), side=60)

    width = (2 + answers) * (40 + MARGIN) + MARGIN
    assert sheet.shape == (CAPTION_HEIGHT + 60 + MARGIN, width, 3)
    assert sheet.dtype == np.uint8


def test_without_truth_there_is_no_panel_for_it() -> None:
    sheet = compare(columns_of(tiny_model()), ArrayRaster(PIXELS), None, Settings(), side=60)

    assert sheet.shape == (CAPTION_HEIGHT + 60 + MARGIN, 4 * (40 + MARGIN) + MARGIN, 3)


def test_panels_show_image_truth_and_answers_in_this_order() -> None:
    model, raster, size = tiny_model(), ArrayRaster(PIXELS), Size(60, 40)

    sheet = compare(columns_of(model), raster, truth(), Settings(), side=60)

    np.testing.assert_array_equal(panel(sheet, 0, size), to_display(thumbnail(raster, size)))
    whole = Window(0, 0, raster.size)
    with predict(model, raster, Settings(), answers_of(model)) as prediction:
        answers = [prediction.labels(of, whole, torch.device("cpu")) for of in answers_of(model)]
    for number, labels in enumerate([LABELS, *answers], start=1):
        small = labels[np.ix_(centres(150, 60), centres(100, 40))]
        np.testing.assert_array_equal(panel(sheet, number, size), colored(small, COLORS))


def test_truth_of_another_size_is_refused() -> None:
    with pytest.raises(InputMismatchError, match=r"150x100.*149x100"):
        compare(columns_of(tiny_model()), ArrayRaster(PIXELS), truth(LABELS[:-1]), Settings())


def test_an_image_smaller_than_a_panel_keeps_its_size() -> None:
    sheet = compare(columns_of(tiny_model()), ArrayRaster(PIXELS), truth(), Settings())

    assert sheet.shape[0] == CAPTION_HEIGHT + 150 + MARGIN


def test_other_bands_are_refused() -> None:
    with pytest.raises(InputMismatchError, match="1 band, the model takes 3"):
        compare(columns_of(tiny_model()), ArrayRaster(LABELS), None, Settings())


def test_labels_without_class_are_white() -> None:
    labels = np.array([[0, 1], [2, 255]], np.uint8)

    picture = colored(labels, COLORS)

    assert picture.tolist() == [[[0, 0, 0], [255, 255, 0]], [[0, 0, 255], [255, 255, 255]]]


def test_titles_stand_above_their_panels() -> None:
    black = np.zeros((50, 120, 3), np.uint8)

    sheet = side_by_side([("one", black), ("two", black)])

    for number in range(2):
        left = MARGIN + number * (120 + MARGIN)
        assert sheet[:CAPTION_HEIGHT, left : left + 120].min() < 100
        assert not panel(sheet, number, Size(50, 120)).any()
    assert sheet[:, :MARGIN].min() == 255
