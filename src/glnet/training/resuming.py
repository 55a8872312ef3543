"""The folder of a run: new, or one that goes on where it was stopped."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from glnet.errors import ConfigurationError, OutputError
from glnet.training.config import TrainingConfig
from glnet.training.following.files import write_whole
from glnet.training.yaml_texts import dumped

CONFIG = "config.yaml"

MAY_DIFFER = (
    "data.folder",
    "data.description",
    "data.workers",
    "data.cache_mib",
    "stages.coarse.micro_batch",
    "stages.context.micro_batch",
    "stages.local.micro_batch",
    "stages.refined.micro_batch",
    "run.device",
    "run.devices",
    "run.num_nodes",
    "run.strategy",
    "run.timeout_s",
    "run.precision",
    "run.patch_batch",
    "run.checkpoint_minutes",
    "follow.tensorboard",
    "follow.loggers",
    "follow.pictures",
    "follow.picture_stems",
    "follow.pictures_every",
    "output",
)
"""What may be another when a run goes on: where things lie and what the machine can hold.

What is learnt from there on is the same up to rounding, but for a micro-batch by whose own
statistics batch normalisation divides (`BatchStatistics`), which more processes than a step has
micro-batches of thumbnails make smaller, and for the precision.
"""


def new_folder(config: TrainingConfig) -> Path:
    """Make the folder of a new run.

    Raises:
        OutputError: If it exists with something in it, or cannot be made.
    """
    output = Path(config.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        hint = "; go on with it by --resume" if (output / CONFIG).is_file() else ""
        raise OutputError(f"{output} exists and is not empty; choose another output{hint}")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the output folder {output}: {error}") from error
    return output


def begin(output: Path, config: TrainingConfig) -> None:
    """Say in a run's folder what is run; until then it stays empty, free for another try.

    Raises:
        OutputError: If it cannot be written.
    """
    if not (output / CONFIG).exists():
        write_whole(output / CONFIG, as_yaml(config))


def old_folder(config: TrainingConfig) -> Path:
    """The folder of a run that is to go on; a new one where nothing had begun.

    Raises:
        ConfigurationError: If the run there has another configuration; says what differs.
        OutputError: If there is something else, or it cannot be written.
    """
    output = Path(config.output)
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return new_folder(config)
    try:
        before = yaml.safe_load((output / CONFIG).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise OutputError(
            f"{output} holds no run that could go on: no readable {CONFIG} there"
        ) from error
    if not isinstance(before, dict):
        raise OutputError(f"{output} holds no run that could go on: {CONFIG} has no keys")
    if changes := list(_changes(before, plain(config))):
        raise ConfigurationError(
            f"the run in {output} has another configuration: {'; '.join(changes)}; "
            "give the values it began with, or start anew in another output"
        )
    return output


def _changes(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key in sorted(before.keys() | now.keys()):
        name = f"{prefix}{key}"
        ours, theirs = now.get(key), before.get(key)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            yield from _changes(theirs, ours, f"{name}.")
        elif ours != theirs and name not in MAY_DIFFER:
            yield f"{name} was {theirs}, is now {ours}"


def as_yaml(config: TrainingConfig) -> str:
    """The configuration as it can be read again."""
    return dumped(plain(config))


def plain(config: TrainingConfig) -> dict[str, Any]:
    """The configuration in plain values."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return values
