"""A model on disk: ``config.json`` and ``model.safetensors`` in a folder; nothing is unpickled."""

import copy
import json
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from glnet.errors import CheckpointError, ConfigurationError, OutputError
from glnet.markup import facts, swatch, text
from glnet.model.build import build_glnet
from glnet.model.config import ModelConfig
from glnet.model.describing import in_words
from glnet.model.glnet import GLNet

FORMAT = 1
"""The layout of the folder. A newer one is refused, an older one will be converted on load."""

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"

MAPPED_BYTES = 1 << 24
"""How much of the file of weights may be in memory, beside one weight, while weights are read."""


OPTIONAL_SECTIONS = {"training_extent", "coarse_to_fine"}
SECTIONS = {"architecture", "framing", "normalization"} | OPTIONAL_SECTIONS
"""The keys of ``config.json`` that hold objects."""


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
        _fill(found, dict(zip(names, _read_weights(self.folder, stored), strict=True)))
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
        yield from zip(names, _read_weights(self.folder, stored), strict=True)

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
    with _opened_weights(folder) as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no dictionary
    _check_weights(folder, model.network.state_dict(), found)
    model.network.eval()
    return StoredModel(model, folder)


def load_model(folder: str | Path) -> Model:
    """Read a model folder onto the CPU, in evaluation mode.

    Raises:
        CheckpointError: As `open_model`.
    """
    return open_model(folder).whole()


def _read_weights(folder: Path, names: Sequence[str]) -> Iterator[torch.Tensor]:
    """Weights of those names in the file, in that order.

    What was read of a mapped file stays in memory until the file is closed and no tensor is a part
    of it any more. So it is opened anew now and then, and the weights are copies.

    Raises:
        CheckpointError: If they cannot be read.
    """
    waiting = deque(names)
    while waiting:
        read = 0
        with _opened_weights(folder) as file:
            while waiting and read < MAPPED_BYTES:
                weight = file.get_tensor(waiting.popleft()).clone()
                read += weight.nbytes
                yield weight


@contextmanager
def _opened_weights(folder: Path) -> Iterator[Any]:
    """The file of weights.

    Raises:
        CheckpointError: If it cannot be read.
    """
    try:
        with safe_open(folder / WEIGHTS_FILE, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE} is damaged or missing ({error}); copy the model again"
        ) from error


def _fill(module: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Give a module on ``meta`` its weights, in its own types."""
    wanted = module.state_dict()
    module.load_state_dict(
        {name: of.to(wanted[name].dtype) for name, of in weights.items()}, assign=True
    )


def read_config(folder: str | Path) -> ModelConfig:
    """Read what a model is, without its weights.

    Raises:
        CheckpointError: If there is no readable ``config.json`` of a known format.
    """
    path = Path(folder) / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{folder} is no model: expected a folder with {CONFIG_FILE} and {WEIGHTS_FILE}"
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); copy the model again") from error
    if not isinstance(values, dict) or type(values.get("format")) is not int:
        raise CheckpointError(f"{path} does not say its format; is it a glnet model?")
    if not 1 <= values["format"] <= FORMAT:
        raise CheckpointError(
            f"{path} has format {values['format']}, this glnet reads up to {FORMAT}; update glnet"
        )
    return _parse(path, values)


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


def _parse(path: Path, values: dict[str, object]) -> ModelConfig:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(ModelConfig, "model")
    known = {key: value for key, value in values.items() if key not in ("format", "glnet")}
    for key in SECTIONS & known.keys():
        if not isinstance(known[key], dict | None):
            # The parser would take a text for the name of a file and open it.
            raise CheckpointError(f"{path} does not describe a model: {key} is no object")
    for key in _nulls(known):
        raise CheckpointError(f"{path} does not describe a model: {key} is null")
    try:
        parsed = parser.parse_object({"model": known}, defaults=False)
        config: ModelConfig = parser.instantiate(parsed).model
    except ConfigurationError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except Exception as error:  # jsonargparse raises whatever the values provoke
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path} does not describe a model: {reason}") from error
    return config


def _nulls(values: dict[str, object], prefix: str = "") -> Iterator[str]:
    """The keys that are null and may not be; the parser lets them pass for any type."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _nulls(value, f"{prefix}{key}.")
        elif value is None and key not in OPTIONAL_SECTIONS:
            yield prefix + key


def _check_weights(
    folder: Path, wanted: Mapping[str, torch.Tensor], found: Mapping[str, tuple[int, ...]]
) -> None:
    missing, foreign = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or foreign:
        example = (missing or foreign)[0]
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE} is of another architecture than {CONFIG_FILE} says: "
            f"{len(missing)} tensors missing, {len(foreign)} unknown, such as {example}"
        )
    for name, of in wanted.items():
        if tuple(of.shape) != found[name]:
            raise CheckpointError(
                f"{folder / WEIGHTS_FILE} is of another architecture than {CONFIG_FILE} says: "
                f"{name} should be {tuple(of.shape)}, is {found[name]}"
            )
