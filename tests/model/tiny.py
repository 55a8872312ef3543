"""Models small enough for a test, with weights from a seed."""

from dataclasses import replace

import torch

from glnet.data.classes import ClassInfo
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model, new_model
from glnet.model.config import (
    Architecture,
    CoarseToFine,
    Framing,
    ModelConfig,
    Normalization,
    TrainingExtent,
)

CLASSES = (
    ClassInfo("nothing", (0, 0, 0)),
    ClassInfo("field", (255, 255, 0)),
    ClassInfo("water", (0, 0, 255)),
)

TINY = Architecture(backbone="test_resnet", fpn_width=8, refined_width=4)

ARCHITECTURES = {
    "local only": replace(TINY, branches="local", sharing="none", aggregation=False),
    "global only": replace(TINY, branches="global", sharing="none", aggregation=False),
    "aggregation only": replace(TINY, sharing="none"),
    "shallow": replace(TINY, sharing="global_to_local", sharing_depth="shallow"),
    "deep": replace(TINY, sharing="global_to_local"),
    "bidirectional": TINY,
    "deep, not aggregated": replace(TINY, sharing="global_to_local", aggregation=False),
    "bidirectional, shallow": replace(TINY, sharing_depth="shallow"),
}
"""The rows of the paper's Table 2, then two forms that it leaves out."""


def tiny_model(
    row: str = "bidirectional",
    *,
    framing: Framing | None = None,
    backbone: str = "test_resnet",
    bands: int = 3,
    seed: int = 0,
    training_extent: TrainingExtent | None = None,
    coarse_to_fine: CoarseToFine | None = None,
    classes: int = 3,
) -> Model:
    config = ModelConfig(
        classes=CLASSES[: 2 if coarse_to_fine is not None else classes],
        architecture=replace(ARCHITECTURES[row], backbone=backbone),
        framing=framing or Framing(patch_size=64, thumbnail_size=64, overlap=16),
        normalization=Normalization((100.0,) * bands, (60.0,) * bands),
        training_extent=training_extent,
        coarse_to_fine=coarse_to_fine,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = new_model(config)
    model.network.eval()
    return model


ALL_ANSWERS = (Answer.GLOBAL, Answer.LOCAL, Answer.AGGREGATED)
"""Of a bidirectional model."""
