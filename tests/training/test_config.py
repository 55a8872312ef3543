from collections.abc import Callable

import pytest

from glnet.errors import ConfigurationError
from glnet.training.config import DataConfig, LossConfig, RunConfig, StageConfig

NAN = float("nan")

OUT_OF_RANGE: dict[str, Callable[[], object]] = {
    "data.cache_mib must be at least 0, got -1": lambda: DataConfig(folder="a", cache_mib=-1),
    "data.workers must be at least 0, got -1": lambda: DataConfig(folder="a", workers=-1),
    "loss.gamma must be at least 0, got -1": lambda: LossConfig(gamma=-1),
    "loss.gamma must be at least 0, got nan": lambda: LossConfig(gamma=NAN),
    "loss.auxiliary must be at least 0, got -1": lambda: LossConfig(auxiliary=-1),
    "loss.regularization must be at least 0, got -1": lambda: LossConfig(regularization=-1),
    r"stages.\*.epochs must be at least 0, got -1": lambda: StageConfig(
        epochs=-1, learning_rate=1.0
    ),
    r"stages.\*.patches must be at least 0, got -1": lambda: StageConfig(
        epochs=1, learning_rate=1.0, patches=-1
    ),
    r"stages.\*.images must be at least 1, got 0": lambda: StageConfig(
        epochs=1, learning_rate=1.0, images=0
    ),
    r"stages.\*.learning_rate must be positive, got 0": lambda: StageConfig(
        epochs=1, learning_rate=0
    ),
    r"stages.\*.learning_rate must be positive, got nan": lambda: StageConfig(
        epochs=1, learning_rate=NAN
    ),
    "run.patch_batch must be at least 1, got 0": lambda: RunConfig(patch_batch=0),
    "run.validate_every must be at least 1, got 0": lambda: RunConfig(validate_every=0),
    "run.weight_decay must be at least 0, got -1": lambda: RunConfig(weight_decay=-1),
    "run.seed must be at least 0, got -1": lambda: RunConfig(seed=-1),
}


@pytest.mark.parametrize(("message", "build"), OUT_OF_RANGE.items(), ids=OUT_OF_RANGE)
def test_numbers_out_of_range_are_refused(message: str, build: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build()
