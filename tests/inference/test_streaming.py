"""Laws of one prediction: what must not change the answer, and what the answer is."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from glnet.errors import ConfigurationError, InputMismatchError
from glnet.geometry import Size, Window, strips
from glnet.inference.pixels import normalized, read_patch, read_thumbnail
from glnet.inference.prediction import strip_height
from glnet.inference.streaming import Answer, Prediction, Settings, predict
from glnet.model.checkpoint import Model
from glnet.model.config import Framing
from glnet.model.exchange import Exchange
from glnet.model.merging import Merger
from glnet.raster import ArrayRaster, Raster
from tests.inference.pictures import picture, raster
from tests.model.tiny import ALL_ANSWERS, tiny_model

CPU = torch.device("cpu")
few = settings(deadline=None, max_examples=10)


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture(scope="module")
def scene() -> ArrayRaster:
    return raster(150, 203)


def _scores(model: Model, of: Raster, how: Settings | None = None) -> list[Tensor]:
    with predict(model, of, how or Settings(), ALL_ANSWERS) as prediction:
        return [prediction.scores(answer, Window(0, 0, of.size), CPU) for answer in ALL_ANSWERS]


def _assert_the_same_answer(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert float((one - other).abs().max()) <= 1e-4 * float(other.abs().max())
        assert float((one.argmax(0) == other.argmax(0)).double().mean()) >= 0.9999


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_the_patch_batch_does_not_change_the_answer(
    model: Model, scene: ArrayRaster, batch: int
) -> None:
    found = _scores(model, scene, Settings(patch_batch=batch))

    _assert_the_same_answer(found, _scores(model, scene))


def test_the_answer_is_that_of_the_steps_written_out(model: Model, scene: ArrayRaster) -> None:
    """All patches at once, the aggregation whole: no split into parts, no scratch, no strips."""
    network, framing = model.network, model.config.framing
    grid = framing.grid(scene.size)
    exchange = Exchange(grid, "exact")
    patches = _pixels(model, np.stack([read_patch(scene, at, framing).pixels for at in grid]))
    thumbnail = _pixels(model, read_thumbnail(scene, framing).pixels[None])
    assert network.context is not None
    assert network.aggregation is not None

    found = _scores(model, scene, Settings(blending="uniform"))

    with torch.no_grad():
        context = network.context(thumbnail)
        local = network.see_patches(patches, context.features, exchange, grid.places)
        merger = Merger(exchange, context.features)
        merger.add(local.features, grid.places)
        refined = network.see_again(thumbnail, merger.merged(torch.float32))
        heard = exchange.hear(refined.fused, local.fused.shape, grid.places)
        aggregated = network.aggregation(local.fused, heard)
    large = functional.interpolate(refined.logits, (150, 203), mode="bilinear")[0]
    expected = [large, _sum_up(local.logits, list(grid)), _sum_up(aggregated, list(grid))]
    _assert_the_same_answer(found, expected)


def _pixels(model: Model, pixels: NDArray[np.uint8]) -> Tensor:
    return normalized(pixels, model.config.normalization)


def _sum_up(logits: Tensor, windows: list[Window]) -> Tensor:
    total = torch.zeros(logits.shape[1], 150, 203)
    for of, window in zip(logits, windows, strict=True):
        size = (window.size.height, window.size.width)
        total[:, *window.slices] += functional.interpolate(of[None], size, mode="bilinear")[0]
    return total


@pytest.fixture(scope="module")
def predicted(model: Model, scene: ArrayRaster) -> Iterator[Prediction]:
    with predict(model, scene, Settings(), ALL_ANSWERS) as prediction:
        yield prediction


@few
@given(height=st.integers(1, 160), answer=st.sampled_from(ALL_ANSWERS))
def test_the_height_of_strips_does_not_change_a_bit(
    predicted: Prediction, scene: ArrayRaster, height: int, answer: Answer
) -> None:
    parts = [predicted.scores(answer, strip, CPU) for strip in strips(scene.size, height)]

    whole = predicted.scores(answer, Window(0, 0, scene.size), CPU)
    assert torch.equal(torch.cat(parts, dim=1), whole)


def test_strips_fit_the_memory_that_they_may_take(predicted: Prediction) -> None:
    height = predicted.strip_height()
    assert height == 512
    wide = strip_height(Size(100, 100_000))
    assert wide * 100_000 <= 2**24 < (wide + 1) * 100_000
    assert strip_height(Size(100, 2**31)) == 16


def test_blocks_do_not_change_a_label(
    predicted: Prediction, scene: ArrayRaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = Window(3, 5, Size(scene.size.height - 4, scene.size.width - 7))
    whole = predicted.scores(Answer.AGGREGATED, window, CPU).argmax(0)
    monkeypatch.setattr(Prediction, "block_side", lambda _: 37)

    assert torch.equal(predicted.best(Answer.AGGREGATED, window, CPU), whole.to(torch.uint8))


def test_a_prediction_leaves_the_network_as_it_was_and_depends_on_nothing_before(
    scene: ArrayRaster,
) -> None:
    model = tiny_model()
    weights = {name: of.clone() for name, of in model.network.state_dict().items()}
    attributes = _attributes(model)
    alone = _scores(model, scene)

    _scores(model, raster(90, 310, seed=5), Settings(patch_batch=2))
    after = _scores(model, scene)

    assert _attributes(model) == attributes
    assert all(torch.equal(of, weights[name]) for name, of in model.network.state_dict().items())
    assert all(torch.equal(one, other) for one, other in zip(after, alone, strict=True))


def _attributes(model: Model) -> list[tuple[str, dict[str, str]]]:
    """Everything that every module holds, in words."""
    return [
        (name, {key: repr(value) for key, value in vars(module).items()})
        for name, module in model.network.named_modules()
    ]


def test_training_goes_on_after_a_prediction(scene: ArrayRaster) -> None:
    model = tiny_model()
    _scores(model, scene)
    assert model.network.context is not None

    logits = model.network.context.train()(torch.rand(1, 3, 64, 64)).logits
    (gradient,) = torch.autograd.grad(logits.square().sum(), model.network.context.classify.bias)

    assert bool(gradient.abs().min() > 0)


def test_bfloat16_gives_mostly_the_same_labels(model: Model, scene: ArrayRaster) -> None:
    exact = _scores(model, scene)

    rough = _scores(model, scene, Settings(precision="bfloat16"))

    for one, other in zip(rough, exact, strict=True):
        assert one.dtype == torch.float32
        assert float((one.argmax(0) == other.argmax(0)).double().mean()) > 0.95
        assert float((one - other).abs().max()) < 0.1 * float(other.abs().max())


@pytest.mark.parametrize("size", [(128, 128), (192, 128), (200, 160)])
def test_reduced_patches_give_the_scores_of_the_reduced_raster_on_average(
    size: tuple[int, int],
) -> None:
    """Of a network without a thumbnail, which is not made of block means.

    The patches are the same pixels where their starts divide by the reduction, as here; then 2 x 2
    means of the scores are the reduced raster's scores, since no bilinear bend lies in a block.
    """
    full = tiny_model("local only", framing=Framing(patch_size=64, overlap=16, reduction=2))
    half = tiny_model("local only", framing=Framing(patch_size=64, overlap=16))
    quarters = picture(*size) // 4
    means = quarters[::2, ::2] + quarters[1::2, ::2] + quarters[::2, 1::2] + quarters[1::2, 1::2]
    large, small = ArrayRaster(4 * quarters), ArrayRaster(means)

    with predict(full, large, Settings()) as prediction:
        scores = prediction.scores(Answer.LOCAL, Window(0, 0, large.size), CPU)
        labels = prediction.labels(Answer.LOCAL, Window(0, 0, large.size), CPU)

    with predict(half, small, Settings()) as prediction:
        expected = prediction.scores(Answer.LOCAL, Window(0, 0, small.size), CPU)
    assert labels.shape == size
    averaged = functional.avg_pool2d(scores[None], 2)[0]
    torch.testing.assert_close(averaged, expected, rtol=1e-4, atol=1e-4)


def test_progress_is_told_from_nothing_to_all(model: Model, scene: ArrayRaster) -> None:
    told: list[tuple[str, int, int]] = []

    predict(model, scene, Settings(patch_batch=5), progress=lambda *step: told.append(step)).close()

    total = len(model.config.framing.grid(scene.size))
    steps = [*range(0, total, 5), total]
    expected = [("patches", done, total) for done in steps]
    assert told[: len(steps)] == expected
    assert told[len(steps) :] == [("global part", done, total) for done in steps[1:]]


def test_answers_that_were_not_asked_for_are_not_kept(model: Model, scene: ArrayRaster) -> None:
    whole = Window(0, 0, scene.size)

    with predict(model, scene, Settings()) as prediction:
        prediction.scores(Answer.AGGREGATED, whole, CPU)
        with pytest.raises(KeyError):
            prediction.scores(Answer.LOCAL, whole, CPU)


def test_impossible_settings_and_rasters_are_refused(model: Model) -> None:
    with pytest.raises(ConfigurationError, match="at least 1, got 0"):
        Settings(patch_batch=0)
    with pytest.raises(InputMismatchError, match="4 bands, the model takes 3"):
        predict(model, raster(64, 64, bands=4), Settings())
