"""A collapsed network answers as the plain one does, at every pixel of a whole prediction."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from glnet.geometry import Window
from glnet.inference.forming import form_of
from glnet.inference.settings import Settings
from glnet.inference.streaming import Answer, answers_of, predict
from glnet.model.checkpoint import Model
from glnet.model.config import Framing
from glnet.model.glnet import required
from glnet.model.resampling import Sampling
from glnet.raster import Raster
from tests.inference.pictures import raster
from tests.model.tiny import ARCHITECTURES, tiny_model

CPU = torch.device("cpu")
ODD = Framing(patch_size=67, thumbnail_size=59, overlap=16)
PLAIN = Settings(collapse=False, patch_batch=3)
COLLAPSED = Settings(patch_batch=3)


def _as_trained(model: Model) -> Model:
    """The same with biases and batch statistics as training leaves them: nothing is 0 or 1."""
    torch.manual_seed(1)
    for module in model.network.modules():
        for name in ("bias", "running_mean"):
            if isinstance(of := getattr(module, name, None), Tensor):
                of.data.normal_(0, 0.3)
        if isinstance(of := getattr(module, "running_var", None), Tensor):
            of.uniform_(0.5, 2)
    return model


def _scores(model: Model, of: Raster, how: Settings, wanted: tuple[Answer, ...]) -> list[Tensor]:
    with predict(model, of, how, wanted) as prediction:
        return [prediction.scores(answer, Window(0, 0, of.size), CPU) for answer in wanted]


def _assert_equal(model: Model, of: Raster, wanted: tuple[Answer, ...]) -> None:
    pairs = zip(
        _scores(model, of, COLLAPSED, wanted), _scores(model, of, PLAIN, wanted), strict=True
    )
    for found, expected in pairs:
        assert float((found - expected).abs().max()) <= 1e-5 * float(expected.abs().max())


@pytest.mark.parametrize("sampling", ["exact", "published"])
@pytest.mark.parametrize("row", ARCHITECTURES)
def test_every_answer_is_the_plain_one(row: str, sampling: Sampling) -> None:
    model = _as_trained(tiny_model(row, framing=replace(ODD, sampling=sampling)))

    _assert_equal(model, raster(150, 203), answers_of(model))


@pytest.mark.parametrize("row", ARCHITECTURES)
def test_an_answer_alone_is_the_plain_one(row: str) -> None:
    model = _as_trained(tiny_model(row, framing=ODD))

    for answer in answers_of(model):
        _assert_equal(model, raster(150, 131), (answer,))


@pytest.mark.parametrize("size", [(64, 64), (33, 300), (5, 7), (131, 67)])
def test_any_size_and_backbone(size: tuple[int, int]) -> None:
    model = _as_trained(tiny_model(backbone="test_efficientnet", framing=ODD))

    _assert_equal(model, raster(*size), (Answer.AGGREGATED,))


def test_a_head_that_is_not_linear_runs_as_it_was_trained_and_says_so() -> None:
    model = tiny_model()
    aggregation = required(model.network.aggregation, "aggregation")
    aggregation.register_forward_hook(lambda *_: None)

    formed = form_of(model, COLLAPSED)

    assert formed.name == "plain"
    assert formed.note is not None
    assert "its head was changed: something hooks into aggregation" in formed.note
