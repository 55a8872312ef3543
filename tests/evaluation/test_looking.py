"""What a report shows of an image: the window of most errors, and what the colours mean."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from glnet.data import IGNORE_INDEX, DatasetDescription, IndexEncoding, Sample
from glnet.evaluation.looking import (
    FALSE,
    HIT,
    IGNORED,
    MISSED,
    RIGHT,
    ErrorCells,
    Panels,
    error_map,
    legend,
    look_at,
)
from glnet.geometry import Size, Window, strips
from glnet.inference.predictor import Predictor
from glnet.inference.sampling import centres
from glnet.inference.streaming import Answer, Prediction, Settings, predict
from glnet.raster import open_raster
from tests.inference.pictures import picture
from tests.model.tiny import CLASSES, tiny_model

MODEL = tiny_model()
PREDICTOR = Predictor(MODEL, Settings())
DESCRIPTION = DatasetDescription(CLASSES, IndexEncoding(ignore=9))
COLORS = [info.color for info in CLASSES]
TWO = [(0, 0, 0), (255, 255, 255)]
BRIGHT = np.full((1, 1, 3), 200, np.uint8)


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    side=st.integers(1, 50),
    strip=st.integers(1, 50),
    seed=st.integers(0, 99),
)
def test_the_worst_window_has_the_errors_of_the_worst_cell(
    height: int, width: int, side: int, strip: int, seed: int
) -> None:
    is_wrong = np.random.default_rng(seed).random((height, width)) < 0.1
    size = Size(height, width)
    cells = ErrorCells(size, side)

    for window in strips(size, strip):
        cells.add(window, is_wrong[window.slices])

    worst = cells.worst()
    most = max(
        int(is_wrong[row : row + side, column : column + side].sum())
        for row in range(0, height, side)
        for column in range(0, width, side)
    )
    assert worst.is_inside(size)
    assert worst.size == Size(min(side, height), min(side, width))
    assert is_wrong[worst.slices].sum() >= most


def one(truth: int, answer: int, colors: list[tuple[int, int, int]]) -> tuple[int, ...]:
    panels = Panels(BRIGHT, np.full((1, 1), truth, np.uint8), np.full((1, 1), answer, np.uint8))
    return tuple(error_map(panels, colors)[0, 0].tolist())


def test_errors_of_two_classes_are_told_apart() -> None:
    assert one(1, 1, TWO) == HIT
    assert one(0, 1, TWO) == FALSE
    assert one(1, 0, TWO) == MISSED
    assert one(0, 0, TWO) == (70, 70, 70)  # 0.35 of the picture
    assert one(IGNORE_INDEX, 1, TWO) == one(IGNORE_INDEX, 0, TWO) == IGNORED


def test_errors_of_more_classes_have_the_colour_that_was_answered() -> None:
    for answer, color in enumerate(COLORS):
        assert one((answer + 1) % 3, answer, COLORS) == color
        assert one(answer, answer, COLORS) == (70, 70, 70)
        assert one(IGNORE_INDEX, answer, COLORS) == IGNORED


def test_right_pixels_are_darker_than_ignored_ones_in_any_picture() -> None:
    white = Panels(np.full((1, 1, 3), 255, np.uint8), *np.zeros((2, 1, 1), np.uint8))

    assert error_map(white, COLORS).max() < IGNORED[0]


def test_the_legend_names_what_is_there() -> None:
    names = [info.name for info in CLASSES]
    maps = np.array([[[0, 2]], [[0, 0]]], np.uint8)
    panels = Panels(np.zeros((1, 2, 3), np.uint8), *maps)
    ignored = panels._replace(truth=np.full((1, 2), IGNORE_INDEX, np.uint8))

    assert legend([panels], names, COLORS) == [
        (COLORS[0], "nothing"),
        (COLORS[2], "water"),
        (RIGHT, "no error"),
    ]
    assert legend([ignored], names, COLORS)[-1] == (IGNORED, "ignored")
    assert {(HIT, "b, found"), (MISSED, "b, missed")} <= set(legend([panels], ["a", "b"], TWO))


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    Image.fromarray(picture(150, 100)).save(tmp_path / "a.png")
    labels = np.random.default_rng(1).choice(np.array([0, 1, 2, 9], np.uint8), (150, 100))
    Image.fromarray(labels).save(tmp_path / "mask.png")
    return Sample("a", tmp_path / "a.png", tmp_path / "mask.png")


def _whole(sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Truth and answer at full resolution."""
    assert sample.mask is not None
    truth = np.asarray(Image.open(sample.mask))
    with (
        open_raster(sample.image) as raster,
        predict(MODEL, raster, Settings()) as prediction,
    ):
        everything = Window(0, 0, raster.size)
        answer = prediction.labels(Answer.AGGREGATED, everything, torch.device("cpu"))
    return np.where(truth == 9, np.uint8(IGNORE_INDEX), truth), answer


def test_a_look_is_cut_from_the_image_its_truth_and_its_answer(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, answer = _whole(sample)
    monkeypatch.setattr(Prediction, "strip_height", lambda _: 16)

    look = look_at(PREDICTOR, sample, DESCRIPTION, side=60)

    middle = np.ix_(centres(150, 60), centres(100, 40))
    assert look.size == Size(150, 100)
    assert look.whole.picture.shape == (60, 40, 3)
    np.testing.assert_array_equal(look.whole.truth, truth[middle])
    np.testing.assert_array_equal(look.whole.answer, answer[middle])
    assert look.zoom is not None
    np.testing.assert_array_equal(look.zoom.truth, truth[look.window.slices])
    np.testing.assert_array_equal(look.zoom.answer, answer[look.window.slices])
    np.testing.assert_array_equal(look.zoom.picture, picture(150, 100)[look.window.slices])
    wrong = (truth != answer) & (truth != IGNORE_INDEX)
    cells = [wrong[r : r + 60, c : c + 60].sum() for r in (0, 60, 120) for c in (0, 60)]
    assert wrong[look.window.slices].sum() >= max(cells)


def test_an_image_that_is_not_shrunk_needs_no_window(sample: Sample) -> None:
    look = look_at(PREDICTOR, sample, DESCRIPTION, side=150)

    assert look.zoom is None
    np.testing.assert_array_equal(look.whole.picture, picture(150, 100))
