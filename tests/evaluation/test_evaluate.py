from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from glnet.data import (
    IGNORE_INDEX,
    DatasetDescription,
    IndexEncoding,
    Sample,
)
from glnet.errors import DatasetError, InputMismatchError
from glnet.evaluation.evaluate import evaluate
from glnet.geometry import Size, Window
from glnet.inference.streaming import Answer, Prediction, Settings, answers_of, predict
from glnet.model.checkpoint import Model
from glnet.raster import open_raster
from tests.model.tiny import CLASSES, tiny_model

DESCRIPTION = DatasetDescription(CLASSES, IndexEncoding(ignore=9))
SIZES = (Size(100, 130), Size(70, 64), Size(20, 41))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("samples")
    rng = np.random.default_rng(0)
    written = []
    for number, size in enumerate(SIZES):
        sample = Sample(f"{number}", folder / f"{number}.png", folder / f"{number}_mask.png")
        shape = (size.height, size.width)
        Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(sample.image)
        labels = rng.choice(np.array([0, 1, 2, 9], np.uint8), shape)
        Image.fromarray(labels).save(folder / f"{number}_mask.png")
        written.append(sample)
    return written


def truth(sample: Sample) -> NDArray[np.uint8]:
    assert sample.mask is not None
    labels: NDArray[np.uint8] = np.asarray(Image.open(sample.mask))
    return np.where(labels == 9, np.uint8(IGNORE_INDEX), labels)


def answered(model: Model, sample: Sample, answer: Answer) -> NDArray[np.uint8]:
    with (
        open_raster(sample.image) as raster,
        predict(model, raster, Settings(), (answer,)) as prediction,
    ):
        return prediction.labels(answer, Window(0, 0, raster.size), CPU)


@pytest.mark.parametrize("row", ["local only", "global only", "deep", "bidirectional"])
@pytest.mark.parametrize("strip", [None, 16])
def test_scores_are_those_of_whole_predictions_counted_by_hand(
    row: str, strip: int | None, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(row)
    if strip is not None:
        monkeypatch.setattr(Prediction, "strip_height", lambda _: strip)

    evaluation = evaluate(model, samples, DESCRIPTION, Settings())

    labels = np.concatenate([truth(sample).ravel() for sample in samples])
    counts = labels != IGNORE_INDEX
    assert (evaluation.images, evaluation.pixels) == (3, counts.sum())
    assert list(evaluation.answers) == [answer.value for answer in answers_of(model)]
    for answer in answers_of(model):
        score = evaluation.answers[answer.value]
        given = np.concatenate([answered(model, sample, answer).ravel() for sample in samples])
        expected = {}
        for k, info in enumerate(CLASSES):
            inside = ((labels == k) & (given == k))[counts].sum()
            expected[info.name] = inside / ((labels == k) | (given == k))[counts].sum()
        assert score.iou == pytest.approx(expected)
        assert score.mean_iou == pytest.approx(np.mean(list(expected.values())))
        assert score.accuracy == pytest.approx((labels == given)[counts].mean())


def test_a_class_that_occurs_nowhere_has_no_score(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "mask.png")
    model = tiny_model("local only")
    assert model.network.local is not None
    classify = model.network.local.classify
    torch.nn.init.zeros_(classify.weight)
    with torch.no_grad():
        classify.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))

    evaluation = evaluate(
        model, [Sample("a", tmp_path / "a.png", tmp_path / "mask.png")], DESCRIPTION, Settings()
    )

    score = evaluation.answers["local"]
    assert score.iou == {"nothing": 1.0, "field": None, "water": None}
    assert (score.mean_iou, score.accuracy) == (1.0, 1.0)


def test_progress_is_told_before_every_image_and_at_the_end(samples: list[Sample]) -> None:
    told: list[tuple[str, int, int]] = []

    evaluate(
        tiny_model("global only"), samples, DESCRIPTION, Settings(), lambda *of: told.append(of)
    )

    assert told[:3] == [("checking files", done, 3) for done in range(3)]
    assert told[3:] == [("0", 0, 3), ("1", 1, 3), ("2", 2, 3), ("", 3, 3)]


def test_other_classes_are_refused(samples: list[Sample]) -> None:
    swapped = replace(DESCRIPTION, classes=CLASSES[::-1])

    with pytest.raises(InputMismatchError, match=r"nothing, field, water.*water, field, nothing"):
        evaluate(tiny_model(), samples, swapped, Settings())


def test_other_bands_are_refused(samples: list[Sample]) -> None:
    with pytest.raises(InputMismatchError, match="3 bands, the model takes 4"):
        evaluate(tiny_model(bands=4), samples, DESCRIPTION, Settings())


def test_a_mask_of_another_size_is_refused(samples: list[Sample]) -> None:
    mixed = Sample("mixed", samples[0].image, samples[1].mask)

    with pytest.raises(DatasetError, match="as large as its image"):
        evaluate(tiny_model(), [mixed], DESCRIPTION, Settings())


def test_masks_without_a_label_are_refused(samples: list[Sample], tmp_path: Path) -> None:
    size = SIZES[0]
    Image.fromarray(np.full((size.height, size.width), 9, np.uint8)).save(tmp_path / "mask.png")
    ignored = Sample("ignored", samples[0].image, tmp_path / "mask.png")

    with pytest.raises(DatasetError, match="the masks ignore every pixel"):
        evaluate(tiny_model("global only"), [ignored], DESCRIPTION, Settings())


def test_no_images_are_refused() -> None:
    with pytest.raises(DatasetError, match="nothing to evaluate"):
        evaluate(tiny_model(), [], DESCRIPTION, Settings())
