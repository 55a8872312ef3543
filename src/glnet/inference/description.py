"""What a model is, in words and numbers for people."""

from dataclasses import asdict, dataclass
from pathlib import Path

from glnet.data.classes import ClassInfo
from glnet.model.checkpoint import Model, load_model
from glnet.model.config import (
    Architecture,
    CoarseToFine,
    Framing,
    Normalization,
    TrainingExtent,
)
from glnet.model.config_file import WEIGHTS_FILE
from glnet.model.describing import in_words


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """A model folder, read and found sound.

    Attributes:
        model: The folder.
        classes: In the order of their labels, from 0 on.
        summary: The architecture in words.
        architecture: The network's parts.
        framing: How it looks at a raster.
        normalization: What it expects of pixels.
        training_extent: Which rasters it was trained on, if known.
        coarse_to_fine: How boxes around the foreground are drawn, which alone are refined; None
            where there are none.
        parameters: How many numbers were learned.
        file_bytes: Size of the weights on disk.
    """

    model: str
    classes: tuple[ClassInfo, ...]
    summary: str
    architecture: Architecture
    framing: Framing
    normalization: Normalization
    training_extent: TrainingExtent | None
    coarse_to_fine: CoarseToFine | None
    parameters: int
    file_bytes: int

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON; colours as ``#rrggbb``."""
        return asdict(self) | {"classes": [info.to_dict() for info in self.classes]}


def describe_model(folder: str | Path) -> ModelDescription:
    """Load a model and say what it is.

    Raises:
        CheckpointError: If the model does not load.
    """
    return described(load_model(folder), folder)


def described(model: Model, folder: str | Path) -> ModelDescription:
    """Say what a loaded model is, that lies in a folder."""
    config = model.config
    return ModelDescription(
        model=str(folder),
        classes=config.classes,
        summary=in_words(config),
        architecture=config.architecture,
        framing=config.framing,
        normalization=config.normalization,
        training_extent=config.training_extent,
        coarse_to_fine=config.coarse_to_fine,
        parameters=sum(of.numel() for of in model.network.parameters()),
        file_bytes=(Path(folder) / WEIGHTS_FILE).stat().st_size,
    )
