"""An evaluation stays within a memory that is named, or is refused before its first prediction."""

import re
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from glnet.data import (
    DatasetDescription,
    IndexEncoding,
    LabelRaster,
    PaletteEncoding,
    Sample,
    ThresholdEncoding,
)
from glnet.errors import ConfigurationError
from glnet.evaluation.confusion import Confusion
from glnet.evaluation.evaluate import evaluate
from glnet.evaluation.memory import (
    COUNTING_BYTES,
    DECODING_BYTES,
    ONE_AT_ONCE,
    estimated_memory,
    evaluation_bytes,
    largest_size,
)
from glnet.geometry import Size, Window
from glnet.inference.budget import parsed_bytes
from glnet.inference.estimate import estimate
from glnet.inference.live_bytes import LiveBytes
from glnet.inference.settings import Settings
from glnet.inference.streaming import answers_of, predict
from glnet.model.answers import Answer
from glnet.model.coarse import coarse_of
from glnet.model.collapse import BRANCHES, branches_of
from glnet.model.config import CoarseToFine
from glnet.raster import ArrayRaster
from tests.inference.pictures import picture
from tests.model.tiny import CLASSES, tiny_model
from tests.raster.raster_files import write_tiff

DESCRIPTION = DatasetDescription(CLASSES, IndexEncoding())
SIZES = (Size(90, 110), Size(150, 155))
LEAST = Settings(patch_batch=1, keeps_weights=False, ahead=0)
MODEL = tiny_model("aggregation only")


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    return [_sample(tmp_path, f"{number}", size) for number, size in enumerate(SIZES)]


def _sample(folder: Path, stem: str, size: Size) -> Sample:
    pixels = np.moveaxis(picture(size.height, size.width), 2, 0)
    labels = np.random.default_rng(0).integers(0, 3, (1, *pixels.shape[1:]), dtype=np.uint8)
    image = write_tiff(folder / f"{stem}.tif", pixels)
    return Sample(stem, image, write_tiff(folder / f"{stem}_mask.tif", labels))


def _needed(size: Size, settings: Settings) -> tuple[int, int]:
    """Bytes on the device and in host memory."""
    labels = np.zeros((size.height, size.width), np.uint8)
    beside = evaluation_bytes(LabelRaster(ArrayRaster(labels), DESCRIPTION))
    wanted = answers_of(MODEL)
    found = estimate(MODEL, size, settings, counts=False, wanted=wanted, beside=beside)
    return found.device_bytes, found.host_bytes


def test_counting_takes_no_more_than_was_estimated() -> None:
    pixels = 300 * 400

    with LiveBytes("cpu") as live:
        answers = torch.zeros(300, 400, dtype=torch.uint8)
        Confusion(3).add(answers, answers.clone())

    assert 0.5 * COUNTING_BYTES < live.peak / pixels < COUNTING_BYTES


COLORS = np.array([info.color for info in CLASSES], np.uint8)
RANDOM = np.random.default_rng(0).integers(0, 3, (300, 400))


@pytest.mark.parametrize(
    ("pixels", "description"),
    [
        (RANDOM.astype(np.uint8), DESCRIPTION),
        (RANDOM.astype(np.int64), DESCRIPTION),
        (COLORS[RANDOM], DatasetDescription(CLASSES, PaletteEncoding(binarize=128))),
        (
            np.stack([RANDOM.astype(np.float64)] * 3, axis=2),
            DatasetDescription(CLASSES[:2], ThresholdEncoding(threshold=1)),
        ),
    ],
)
def test_decoding_takes_no_more_than_was_estimated(
    pixels: NDArray[Any], description: DatasetDescription
) -> None:
    labels = LabelRaster(ArrayRaster(pixels), description)

    tracemalloc.start()
    try:
        labels.read(Window(0, 0, labels.size))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak / labels.size.area < DECODING_BYTES


def test_an_evaluation_takes_no_more_than_was_estimated(samples: list[Sample]) -> None:
    settings = Settings(patch_batch=2)
    make = branches_of(MODEL.network, MODEL.bands)
    parts = [make(name) for name in BRANCHES if getattr(MODEL.network, name) is not None]
    weights = sum(of.nbytes for part in parts for of in part.state_dict().values())
    evaluate(MODEL, samples[1:], DESCRIPTION, settings)  # What is made once is made.

    with LiveBytes("cpu") as live:
        evaluate(MODEL, samples[1:], DESCRIPTION, settings)

    found, _ = _needed(SIZES[1], settings)
    assert live.peak <= found <= 1.3 * (live.peak + weights)


def test_a_budget_changes_how_many_patches_run_and_no_score(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Settings] = []

    def noting(*given: Any, **named: Any) -> Any:  # noqa: ANN401
        ran.append(given[2])
        return predict(*given, **named)

    monkeypatch.setattr("glnet.inference.predictor.predict", noting)
    plain = evaluate(MODEL, samples, DESCRIPTION, Settings())
    on_device, on_host = _needed(SIZES[1], LEAST)
    named = Settings(memory=on_device, host_memory=on_host)

    within = evaluate(MODEL, samples, DESCRIPTION, named)

    assert within.confusions == plain.confusions
    assert [of.patch_batch for of in ran[:2]] == [4, 4]
    assert all(of.patch_batch < 4 for of in ran[2:])


def test_an_impossible_budget_ends_before_the_first_prediction(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "glnet.inference.predictor.predict", lambda *_, **__: pytest.fail("a prediction")
    )

    with pytest.raises(ConfigurationError) as refused:
        evaluate(MODEL, samples, DESCRIPTION, Settings(host_memory=1000))

    message = str(refused.value)
    assert message.startswith(f"{samples[1].image}, of 150x155, needs at least --memory ")
    assert "\n" not in message
    found = re.search(r"--host-memory (\w+)", message)
    assert found is not None
    monkeypatch.undo()
    evaluate(MODEL, samples, DESCRIPTION, Settings(host_memory=parsed_bytes(found[1])))


def test_scratch_files_must_not_take_the_memory_that_is_named(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glnet.evaluation.memory.is_in_memory", lambda _: True)
    settings = Settings(host_memory=2**40)

    with pytest.raises(ConfigurationError, match="set TMPDIR to a folder on a disk"):
        evaluate(MODEL, samples, DESCRIPTION, settings)
    evaluate(MODEL, samples, DESCRIPTION, replace(settings, host_memory=None, memory=2**40))


def test_the_memory_of_an_answer_is_that_of_predicting_it_alone() -> None:
    model, size = tiny_model("bidirectional"), Size(130, 150)

    found = estimated_memory(model, ["global", "local", "aggregated"], size)

    assert list(found) == ["global", "local", "aggregated"]
    assert found["aggregated"] == estimate(model, size, ONE_AT_ONCE).device_bytes
    alone = estimate(model, size, ONE_AT_ONCE, wanted=(Answer.LOCAL,))
    assert found["local"] == alone.device_bytes


def test_the_memory_of_a_coarse_answer_is_that_of_the_coarse_branch() -> None:
    model, size = (
        tiny_model("deep", coarse_to_fine=CoarseToFine()),
        Size(90, 80),
    )

    found = estimated_memory(model, ["coarse", "local"], size)

    assert found["coarse"] == estimate(coarse_of(model), size, ONE_AT_ONCE).device_bytes


@pytest.mark.parametrize("error", [ConfigurationError("none"), RuntimeError("no such kernel")])
def test_what_cannot_be_estimated_is_left_out(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("glnet.evaluation.memory.estimate", refuse)

    assert estimated_memory(tiny_model(), ["local"], Size(90, 80)) == {}


def test_the_largest_image_has_most_pixels(samples: list[Sample]) -> None:
    with samples[0].open_image() as raster:
        assert largest_size(samples[:1]) == raster.size
    sizes = []
    for sample in samples:
        with sample.open_image() as raster:
            sizes.append(raster.size)
    assert largest_size(samples).area == max(size.area for size in sizes)
