"""Every architecture and several backbones predict, on rasters of any size."""

import numpy as np
import pytest
import torch

from glnet.geometry import Window
from glnet.inference.streaming import Answer, Settings, answers_of, predict
from glnet.model.checkpoint import Model
from glnet.model.config import Framing
from glnet.model.resampling import Sampling
from tests.inference.pictures import raster
from tests.model.tiny import ALL_ANSWERS, ARCHITECTURES, tiny_model

CPU = torch.device("cpu")
ANSWERS = {
    "local only": (Answer.LOCAL,),
    "global only": (Answer.GLOBAL,),
    "deep, not aggregated": (Answer.GLOBAL, Answer.LOCAL),
}


def _check_all_answers(model: Model, height: int, width: int, batch: int = 4) -> None:
    wanted = answers_of(model)
    picture = raster(height, width, model.bands)

    with predict(model, picture, Settings(patch_batch=batch), wanted) as prediction:
        for answer in wanted:
            scores = prediction.scores(answer, Window(0, 0, picture.size), CPU)
            labels = prediction.labels(answer, Window(0, 0, picture.size), CPU)

            assert scores.shape == (model.num_classes, height, width)
            assert bool(scores.isfinite().all())
            assert float(scores.std()) > 0
            assert np.array_equal(labels, scores.argmax(dim=0).numpy())
            assert labels.dtype == np.uint8


@pytest.mark.parametrize("sampling", ["exact", "published"])
@pytest.mark.parametrize("row", ARCHITECTURES)
def test_every_row_of_table_2_predicts(row: str, sampling: Sampling) -> None:
    model = tiny_model(row, framing=Framing(patch_size=72, thumbnail_size=64, sampling=sampling))

    assert answers_of(model) == ANSWERS.get(row, ALL_ANSWERS)
    _check_all_answers(model, 101, 83)


@pytest.mark.parametrize(
    "backbone", ["resnet18", "test_convnext", "mobilenetv3_small_050", "regnetx_002"]
)
def test_other_backbones_predict_on_odd_sizes(backbone: str) -> None:
    framing = Framing(patch_size=67, thumbnail_size=73, overlap=17)

    _check_all_answers(tiny_model(backbone=backbone, framing=framing), 75, 113)


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 37), (33, 500), (63, 64), (64, 64), (20, 65), (40, 31)]
)
@pytest.mark.parametrize("reduction", [1, 2])
def test_rasters_of_any_size_are_predicted(height: int, width: int, reduction: int) -> None:
    framing = Framing(patch_size=64, thumbnail_size=64, overlap=16, reduction=reduction)

    _check_all_answers(tiny_model(framing=framing), height, width)


@pytest.mark.parametrize("bands", [1, 5])
def test_rasters_of_any_bands_are_predicted(bands: int) -> None:
    _check_all_answers(tiny_model(bands=bands), 90, 70)


def test_a_thumbnail_finer_than_the_patches_is_merged_without_holes() -> None:
    framing = Framing(patch_size=64, thumbnail_size=256, overlap=16)

    _check_all_answers(tiny_model(framing=framing), 64, 80)
