from collections.abc import Callable

import pytest

from glnet.errors import ConfigurationError
from glnet.training.config import (
    CoarseToFineTraining,
    DataConfig,
    LossConfig,
    RunConfig,
    StageConfig,
)

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
    r"stages.\*.micro_batch must be at least 1, got 0": lambda: StageConfig(
        epochs=1, learning_rate=1.0, micro_batch=0
    ),
    "data.photometric must be 0 to 1, got 1.5": lambda: DataConfig(folder="a", photometric=1.5),
    "data.photometric must be 0 to 1, got nan": lambda: DataConfig(folder="a", photometric=NAN),
    "data.foreground must be 0 to 1, got -1": lambda: DataConfig(folder="a", foreground=-1),
    r"loss.class_weights\[1\] must be at least 0, got -1": lambda: LossConfig(
        class_weights=(1.0, -1.0)
    ),
    "coarse_to_fine.truth must be 0 to 1, got -0.5": lambda: CoarseToFineTraining(truth=-0.5),
    "coarse_to_fine.jitter must be 0 to 1, got nan": lambda: CoarseToFineTraining(jitter=NAN),
    "coarse_to_fine.ratio must be positive and finite, got 0": lambda: CoarseToFineTraining(
        ratio=0
    ),
    "run.devices must be at least 1, got 0": lambda: RunConfig(devices=0),
    "run.num_nodes must be at least 1, got 0": lambda: RunConfig(num_nodes=0),
    "run.checkpoint_minutes must be at least 0, got -1": lambda: RunConfig(checkpoint_minutes=-1),
    "run.patch_batch must be at least 1, got 0": lambda: RunConfig(patch_batch=0),
    "run.validate_every must be at least 1, got 0": lambda: RunConfig(validate_every=0),
    "run.weight_decay must be at least 0, got -1": lambda: RunConfig(weight_decay=-1),
    "run.seed must be at least 0, got -1": lambda: RunConfig(seed=-1),
}


@pytest.mark.parametrize(("message", "build"), OUT_OF_RANGE.items(), ids=OUT_OF_RANGE)
def test_numbers_out_of_range_are_refused(message: str, build: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build()
