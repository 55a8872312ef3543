"""A model on disk: ``config.json`` and ``model.safetensors`` in a folder; nothing is unpickled."""

import copy
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from glnet.errors import CheckpointError, ConfigurationError, OutputError
from glnet.markup import facts, swatch, text
from glnet.model.build import build_glnet
from glnet.model.config import ModelConfig
from glnet.model.config_file import CONFIG_FILE, FORMAT, WEIGHTS_FILE, read_config
from glnet.model.describing import in_words
from glnet.model.glnet import GLNet
from glnet.model.weights_file import check_weights, fill, read_weights


@dataclass(frozen=True)
class Model:
    """A network with all that prediction needs to know about it."""

    network: GLNet
    config: ModelConfig

    @property
    def bands(self) -> int:
        """How many bands an image must have."""
        return self.config.normalization.bands

    @property
    def num_classes(self) -> int:
        """How many classes the answers have."""
        return len(self.config.classes)

    def __repr__(self) -> str:
        return (
            f"Model({in_words(self.config)}; {self.config.architecture.backbone}, "
            f"{self._parameters:,} parameters, {self.bands} bands, {self.num_classes} classes)"
        )

    def _repr_html_(self) -> str:
        config = self.config
        pairs = [
            ("architecture", in_words(config)),
            ("backbone", config.architecture.backbone),
            ("parameters", f"{self._parameters:,}"),
            ("patch", f"{config.framing.patch_size} px, {config.framing.overlap} px of overlap"),
            ("thumbnail", f"{config.framing.thumbnail_size} px"),
            ("bands", str(self.bands)),
        ]
        classes = " ".join(
            "<span style='display:inline-block;margin-right:1.2em'>"
            f"{label} {swatch(info.color)}{text(info.name)}</span>"
            for label, info in enumerate(config.classes)
        )
        return f"<div>{facts('Model', pairs)}<div>{classes}</div></div>"

    @property
    def _parameters(self) -> int:
        return sum(of.numel() for of in self.network.parameters())


def new_model(config: ModelConfig, *, pretrained: bool = False) -> Model:
    """Build a model with fresh weights (or timm's for the backbones).

    Raises:
        ConfigurationError: If the backbone does not exist.
    """
    bands, classes = config.normalization.bands, len(config.classes)
    network = build_glnet(
        config.architecture,
        bands,
        classes,
        pretrained=pretrained,
        is_coarse_to_fine=config.coarse_to_fine is not None,
    )
    return Model(network, config)


def save_model(model: Model, folder: str | Path, *, overwrite: bool = False) -> None:
    """Write a model folder: written beside and renamed, so that it is whole or not there.

    Raises:
        OutputError: If it exists and may not be overwritten, or cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not overwrite:
        raise OutputError(
            f"{folder} exists; allow overwriting (--overwrite) or choose another name"
        )
    if folder.exists() and not (folder / CONFIG_FILE).exists():
        raise OutputError(f"{folder} exists and is no model folder; it is left as it is")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise OutputError(f"cannot write the model {folder}: {error}") from error
    try:
        _write(model, partial / "new")
        _swap(partial / "new", folder, aside=partial / "old")
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write the model {folder}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@dataclass(frozen=True)
class StoredModel:
    """A model whose weights stay on disk until they are needed, part by part.

    Attributes:
        model: Its network is on torch's ``meta`` device: it has shapes and no weights.
        folder: Where the weights are.
        names: Parts whose weights have another name on disk.
    """

    model: Model
    folder: Path
    names: Mapping[str, str] = field(default_factory=dict)

    def part(self, name: str) -> nn.Module:
        """A part of the network with its weights, on the CPU, in evaluation mode.

        Args:
            name: Of the attribute in `GLNet`, such as ``local``.

        Raises:
            CheckpointError: If they cannot be read.
        """
        found: nn.Module = copy.deepcopy(getattr(self.model.network, name))
        names = list(found.state_dict())
        stored = [self._stored(f"{name}.{of}") for of in names]
        fill(found, dict(zip(names, read_weights(self.folder, stored), strict=True)))
        return found

    def whole(self) -> Model:
        """All of it, with its weights.

        Raises:
            CheckpointError: If they cannot be read.
        """
        network = copy.deepcopy(self.model.network)
        for name, _ in network.named_children():
            setattr(network, name, self.part(name))
        return Model(network.eval(), self.model.config)

    def weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """All weights by name, in alphabetical order, one at a time.

        Raises:
            CheckpointError: If they cannot be read.
        """
        names = sorted(self.model.network.state_dict())
        stored = [self._stored(name) for name in names]
        yield from zip(names, read_weights(self.folder, stored), strict=True)

    def _stored(self, name: str) -> str:
        part, dot, rest = name.partition(".")
        return f"{self.names.get(part, part)}{dot}{rest}"


def open_model(folder: str | Path) -> StoredModel:
    """Read what a model is, and see that its weights are there, without reading them.

    Raises:
        CheckpointError: If the folder is missing, damaged, of another architecture than it says,
            or of a newer format.
    """
    folder = Path(folder)
    config = read_config(folder)
    try:
        with torch.device("meta"):
            model = new_model(config)
    except ConfigurationError as error:
        raise CheckpointError(f"{folder / CONFIG_FILE}: {error}") from error
    check_weights(folder, model.network.state_dict())
    model.network.eval()
    return StoredModel(model, folder)


def load_model(folder: str | Path) -> Model:
    """Read a model folder onto the CPU, in evaluation mode.

    Raises:
        CheckpointError: As `open_model`.
    """
    return open_model(folder).whole()


def _swap(new: Path, folder: Path, aside: Path) -> None:
    """Put a whole folder in its place; the one that was there is back if that fails."""
    if folder.exists():
        folder.rename(aside)
    try:
        new.rename(folder)
    except OSError:
        if aside.exists():
            aside.rename(folder)
        raise


def _write(model: Model, folder: Path) -> None:
    folder.mkdir()
    values = {"format": FORMAT, "glnet": version("glnet"), **asdict(model.config)}
    (folder / CONFIG_FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    weights = {name: of.detach().cpu().contiguous() for name, of in _weights(model).items()}
    save_file(weights, folder / WEIGHTS_FILE)
    # Written for its owner alone, where others may read the description beside it.
    (folder / WEIGHTS_FILE).chmod((folder / CONFIG_FILE).stat().st_mode)
    if (folder / WEIGHTS_FILE).stat().st_size < sum(of.nbytes for of in weights.values()):
        raise OSError("fewer bytes arrived on the disk than were written; is it full?")


def _weights(model: Model) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = model.network.state_dict()
    return weights
