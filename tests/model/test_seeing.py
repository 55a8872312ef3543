"""One branch's weights, seeing patches or the whole raster."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from glnet.errors import ConfigurationError
from glnet.geometry import Size, Window
from glnet.inference.predictor import Predictor
from glnet.inference.settings import Settings
from glnet.inference.streaming import Answer
from glnet.model.checkpoint import Model, open_model, save_model
from glnet.model.config import TrainingExtent
from glnet.model.digest import digest_of
from glnet.model.seeing import Seeing, seeing, stored_seeing
from glnet.raster import ArrayRaster
from tests.inference.pictures import picture
from tests.model.tiny import tiny_model


def _scores(model: Model, answer: Answer) -> torch.Tensor:
    raster = ArrayRaster(picture(90, 120))
    predictor = Predictor(model, Settings())
    settings, formed = predictor.fitted(raster)
    with predictor.predict(raster, settings, formed) as prediction:
        return prediction.scores(answer, Window(0, 0, raster.size), torch.device("cpu"))


def test_local_weights_see_the_whole_as_a_global_branch_of_theirs_would() -> None:
    local, globally = tiny_model("local only"), tiny_model("global only")
    assert globally.network.context is not None
    assert local.network.local is not None
    globally.network.context.load_state_dict(local.network.local.state_dict())
    side = globally.config.framing.thumbnail_size

    scores = _scores(seeing(local, Seeing("whole", side)), Answer.GLOBAL)

    assert torch.equal(scores, _scores(globally, Answer.GLOBAL))


def test_global_weights_see_patches() -> None:
    model = tiny_model("global only")

    found = seeing(model, Seeing("patches", 64))

    assert found.config.architecture.branches == "local"
    assert found.config.framing.patch_size == 64
    assert _scores(found, Answer.LOCAL).shape == (model.num_classes, 90, 120)


def test_going_there_and_back_changes_nothing() -> None:
    model = tiny_model("local only")
    framing = model.config.framing

    there = seeing(model, Seeing("whole", framing.thumbnail_size))
    back = seeing(there, Seeing("patches", framing.patch_size))

    assert back.config == replace(model.config, training_extent=None)
    assert torch.equal(_scores(back, Answer.LOCAL), _scores(model, Answer.LOCAL))


def test_stored_weights_are_found_under_their_old_name(tmp_path: Path) -> None:
    model, how = tiny_model("local only"), Seeing("whole", 64)
    save_model(model, tmp_path / "model")

    stored = stored_seeing(open_model(tmp_path / "model"), how)

    assert digest_of(stored) == digest_of(seeing(model, how))
    of_settings = Predictor(tmp_path / "model", Settings(seeing=how))
    assert of_settings.digest() == digest_of(stored)


def test_the_whole_is_one_region_however_large_it_is() -> None:
    model = tiny_model("global only")
    small = TrainingExtent(smallest=Size(30, 30), largest=Size(30, 30))
    model = Model(model.network, replace(model.config, training_extent=small))

    assert seeing(model, Seeing("whole", 64)).config.training_extent is None


@pytest.mark.parametrize("row", ["bidirectional", "aggregation only"])
def test_a_network_of_two_branches_sees_both(row: str) -> None:
    with pytest.raises(ConfigurationError, match="one branch"):
        seeing(tiny_model(row), Seeing("whole", 64))


@pytest.mark.parametrize("side", [1, 100_000])
def test_a_side_that_cannot_be_is_refused(side: int) -> None:
    with pytest.raises(ConfigurationError, match="from 32"):
        seeing(tiny_model("local only"), Seeing("patches", side))
