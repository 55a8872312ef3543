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
from glnet.errors import ConfigurationError, DatasetError, InputMismatchError, RasterError
from glnet.evaluation.evaluate import Rules, evaluate
from glnet.geometry import Size, Window
from glnet.inference.streaming import Answer, Prediction, Settings, answers_of, predict
from glnet.model.checkpoint import Model
from glnet.model.coarse import coarse_of
from glnet.model.config import CoarseToFine
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
        sample.open_image() as raster,
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


def test_every_image_has_its_own_scores(samples: list[Sample]) -> None:
    model = tiny_model()
    rules = Rules(groups={"0": "austin", "2": "vienna"})

    together = evaluate(model, samples, DESCRIPTION, Settings(), rules=rules)

    assert [image.stem for image in together.per_image] == ["0", "1", "2"]
    assert [image.group for image in together.per_image] == ["austin", None, "vienna"]
    for sample, image in zip(samples, together.per_image, strict=True):
        alone = evaluate(model, [sample], DESCRIPTION, Settings())
        assert image.pixels == alone.pixels
        for name, answer in image.answers.items():
            assert answer.iou == alone.answers[name].iou
            assert answer.score == answer.mean_iou == alone.answers[name].mean_iou
            assert answer.accuracy == alone.answers[name].accuracy
    for name, rows in together.confusions.items():
        assert sum(map(sum, rows)) == sum(size.area for size in SIZES)
        assert sum(map(sum, rows[:-1])) == together.pixels
        assert together.figures[name]["overall"]["mIoU"] == together.answers[name].mean_iou


def test_images_without_a_label_have_no_score_and_are_not_ranked(
    samples: list[Sample], tmp_path: Path
) -> None:
    size = SIZES[0]
    Image.fromarray(np.full((size.height, size.width), 9, np.uint8)).save(tmp_path / "mask.png")
    bare = Sample("bare", samples[0].image, tmp_path / "mask.png")

    evaluation = evaluate(tiny_model(), [bare, samples[1]], DESCRIPTION, Settings())

    assert [image.pixels == 0 for image in evaluation.per_image] == [True, False]
    assert evaluation.per_image[0].answers["local"].score is None
    assert [image.stem for _, image in evaluation.ranked()] == ["1"]


def test_all_bad_files_are_told_before_any_work(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("glnet.inference.predictor.predict")
    grey = Sample("grey", tmp_path / "grey.png", samples[0].mask)
    Image.new("L", (130, 100)).save(grey.image)
    text = Sample("text", tmp_path / "text.png", samples[0].mask)
    text.image.write_text("no picture")
    mixed = Sample("mixed", samples[0].image, samples[1].mask)
    model = tiny_model()

    with pytest.raises(
        DatasetError,
        match=r"^4 of 6 images cannot be evaluated: .*grey.*; .*text.*; .*; and 1 more$",
    ):
        evaluate(model, [*samples[:2], grey, text, mixed, mixed], DESCRIPTION, Settings())
    with pytest.raises(RasterError, match=r"^2 of 2 .*text\.png.*text\.png"):
        evaluate(model, [text, text], DESCRIPTION, Settings())
    with pytest.raises(DatasetError, match="as large as its image"):
        evaluate(model, [*samples, mixed], DESCRIPTION, Settings())


def test_a_protocol_for_other_classes_is_refused(samples: list[Sample]) -> None:
    with pytest.raises(ConfigurationError, match="scores two classes"):
        evaluate(tiny_model(), samples, DESCRIPTION, Settings(), rules=Rules("inria"))


def test_turned_images_are_counted_as_they_are_predicted(samples: list[Sample]) -> None:
    model, settings = tiny_model("local only"), Settings(turns="all")

    evaluation = evaluate(model, samples[:1], DESCRIPTION, settings)

    with (
        samples[0].open_image() as raster,
        predict(model, raster, settings, (Answer.LOCAL,)) as prediction,
    ):
        given = prediction.labels(Answer.LOCAL, Window(0, 0, raster.size), CPU)
    right = (given == truth(samples[0])).sum() / evaluation.pixels
    assert evaluation.answers["local"].accuracy == pytest.approx(right)


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


def test_a_coarse_to_fine_model_is_scored_in_its_boxes_and_its_coarse_branch_everywhere(
    tmp_path: Path,
) -> None:
    model = tiny_model(coarse_to_fine=CoarseToFine())
    two = DatasetDescription(CLASSES[:2], IndexEncoding())
    rng = np.random.default_rng(0)
    sample = Sample("0", tmp_path / "0.png", tmp_path / "0_mask.png")
    Image.fromarray(rng.integers(0, 256, (90, 80, 3), dtype=np.uint8)).save(sample.image)
    Image.fromarray(rng.integers(0, 2, (90, 80), dtype=np.uint8)).save(tmp_path / "0_mask.png")

    found = evaluate(model, [sample], two, Settings())
    everywhere = evaluate(model, [sample], two, Settings(everywhere=True))
    coarse = evaluate(coarse_of(model), [sample], two, Settings())

    assert list(found.answers) == ["coarse", "global", "local", "aggregated"]
    assert list(everywhere.answers) == ["global", "local", "aggregated"]
    assert found.confusions["coarse"] == coarse.confusions["global"]
