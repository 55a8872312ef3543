"""What a model is, in its ``config.json``."""

import json
from collections.abc import Iterator
from pathlib import Path

from jsonargparse import ArgumentParser

from glnet.errors import CheckpointError, ConfigurationError
from glnet.model.config import ModelConfig

FORMAT = 1
"""The layout of the folder. A newer one is refused, an older one will be converted on load."""

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
"""The files in a model's folder."""

OPTIONAL_SECTIONS = {"training_extent", "coarse_to_fine"}
SECTIONS = {"architecture", "framing", "normalization"} | OPTIONAL_SECTIONS
"""The keys of ``config.json`` that hold objects."""


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
