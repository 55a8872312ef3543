"""What a model is, in words and numbers for people."""

from dataclasses import asdict, dataclass
from pathlib import Path

from glnet.data.classes import ClassInfo
from glnet.model.checkpoint import WEIGHTS_FILE, Model, load_model
from glnet.model.config import (
    Architecture,
    CoarseToFine,
    Framing,
    ModelConfig,
    Normalization,
    TrainingExtent,
)

BRANCHES = {
    "global": "global branch alone",
    "local": "local branch alone",
    "both": "global and local branch",
}
SHARING = {
    "none": "no sharing",
    "global_to_local": "{depth} sharing from global to local",
    "bidirectional": "{depth} sharing in both directions",
}


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
        summary=_in_words(config),
        architecture=config.architecture,
        framing=config.framing,
        normalization=config.normalization,
        training_extent=config.training_extent,
        coarse_to_fine=config.coarse_to_fine,
        parameters=sum(of.numel() for of in model.network.parameters()),
        file_bytes=(Path(folder) / WEIGHTS_FILE).stat().st_size,
    )


def _in_words(config: ModelConfig) -> str:
    words = architecture_in_words(config.architecture)
    if config.coarse_to_fine is None:
        return words
    places = {"one": "one box", "each": "boxes"}[config.coarse_to_fine.boxes]
    return f"coarse to fine: a coarse branch, then in {places} around the foreground {words}"


def architecture_in_words(architecture: Architecture) -> str:
    """Such as "global and local branch, deep sharing in both directions, aggregated"."""
    if architecture.network != "glnet":
        sees = {"local": "patches", "global": "the whole image"}[architecture.branches]
        return f"{architecture.network}, which sees {sees}"
    parts = [BRANCHES[architecture.branches]]
    if architecture.branches == "both":
        parts.append(SHARING[architecture.sharing].format(depth=architecture.sharing_depth))
        parts.append("aggregated" if architecture.aggregation else "not aggregated")
    return ", ".join(parts)
