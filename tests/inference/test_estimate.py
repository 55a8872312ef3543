"""What is estimated is what a prediction takes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from glnet.geometry import Size, Window
from glnet.inference.estimate import estimate
from glnet.inference.forming import form_of
from glnet.inference.live_bytes import LiveBytes
from glnet.inference.settings import Precision, Settings
from glnet.inference.streaming import Answer, answers_of, predict
from glnet.model.checkpoint import Model, new_model, open_model, save_model
from glnet.model.collapse import BRANCHES, branches_of
from glnet.model.config import Architecture
from tests.inference.pictures import raster
from tests.model.tiny import tiny_model


def _weights(model: Model, settings: Settings) -> int:
    """What is there all the time."""
    if not settings.collapse:
        parts: list[nn.Module] = [model.network]
    elif settings.keeps_weights:
        make = branches_of(model.network, model.bands)
        parts = [make(name) for name in BRANCHES if getattr(model.network, name) is not None]
    else:
        parts = []
    return sum(of.nbytes for part in parts for of in part.state_dict().values())


def _measured(model: Model, size: Size, settings: Settings) -> tuple[int, int]:
    """Peak of tensors, weights included, and multiply-adds of a real prediction."""
    form = form_of(model, settings).form
    image, answer = raster(size.height, size.width), answers_of(model)[-1]
    with predict(model, image, settings, form=form):
        pass  # What is kept is there.
    with (
        FlopCounterMode(display=False) as counter,
        LiveBytes("cpu") as live,
        predict(model, image, settings, form=form) as prediction,
    ):
        prediction.best(answer, Window(0, 0, size), torch.device("cpu"))
    return live.peak + _weights(model, settings), counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("row", "settings"),
    [
        ("global only", Settings()),
        ("aggregation only", Settings(patch_batch=2)),
        ("bidirectional", Settings(patch_batch=1)),
        ("bidirectional", Settings(patch_batch=3, collapse=False)),
    ],
)
def test_a_prediction_takes_what_was_estimated(row: str, settings: Settings) -> None:
    model, size = tiny_model(row), Size(150, 155)

    found = estimate(model, size, settings)

    peak, multiply_adds = _measured(model, size, settings)
    assert found.device_bytes == pytest.approx(peak, rel=0.1)
    assert found.multiply_adds == pytest.approx(multiply_adds, rel=0.02)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_that_are_read_count_while_a_branch_is_made(
    precision: Precision, tmp_path: Path
) -> None:
    """A branch of many weights and small maps: making it takes the most."""
    sizes = Architecture(backbone="resnet18", fpn_width=32, refined_width=16)
    config = replace(tiny_model().config, architecture=sizes)
    save_model(new_model(config), tmp_path / "model")
    stored, size = open_model(tmp_path / "model"), Size(90, 95)
    settings = Settings(device="cpu", precision=precision, keeps_weights=False)

    found = estimate(stored.model, size, settings)

    form = form_of(stored, settings).form
    with LiveBytes("cpu") as live, predict(stored.model, raster(90, 95), settings, form=form):
        pass
    assert found.device_bytes == pytest.approx(live.peak, rel=0.1)


def test_work_and_scratch_grow_with_the_patches() -> None:
    settings = Settings(device="cuda", patch_batch=2)

    small = estimate(tiny_model(), Size(500, 500), settings)
    large = estimate(tiny_model(), Size(2_000, 2_000), settings)

    assert large.patches > 14 * small.patches
    assert large.multiply_adds > 13 * small.multiply_adds
    assert large.scratch_bytes == small.scratch_bytes * large.patches // small.patches


def test_half_the_bytes_of_a_number_take_about_half_the_memory() -> None:
    settings = Settings(device="cuda", patch_batch=4)
    lower = Settings(device="cuda", patch_batch=4, precision="bfloat16")

    whole = estimate(tiny_model(), Size(300, 300), settings)
    half = estimate(tiny_model(), Size(300, 300), lower)

    assert 0.4 < half.device_bytes / whole.device_bytes < 0.8


def test_an_estimate_leaves_nothing_behind() -> None:
    model, image = tiny_model(), raster(130, 130)
    window = Window(0, 0, image.size)

    def answer() -> torch.Tensor:
        with predict(model, image, Settings()) as prediction:
            return prediction.best(Answer.AGGREGATED, window, torch.device("cpu"))

    before = answer()
    estimate(model, image.size, Settings())
    assert torch.equal(answer(), before)
