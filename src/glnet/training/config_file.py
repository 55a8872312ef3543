"""A training configuration from a YAML file and options that override it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml
from jsonargparse import ArgumentParser

from glnet.errors import ConfigurationError, GLNetError
from glnet.training.config import TrainingConfig

UNKNOWN_KEY = re.compile(
    r"(?:Group '([^']+)' does not accept o|O)ption '([^']+)'|unrecognized arguments: --([\w.-]+)"
)
"""How the parser complains of a key in a file and of one on the command line."""


def configuration_parser() -> ArgumentParser:
    """A parser that knows every key of a `TrainingConfig`, with its documentation as help."""
    parser = ArgumentParser(prog="glnet train", exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file with any of the keys below")
    parser.add_class_arguments(TrainingConfig, None)
    return parser


def read_config(file: str | Path | None, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Read a configuration: the file first, then ``--key value`` overrides.

    A dataset description that is not found where the command runs is looked for beside the file.

    Raises:
        ConfigurationError: If the file is missing or no YAML, a key is unknown, or a value is of
            the wrong type or out of range.
    """
    if file is not None:
        _check_yaml(Path(file))
    parser = configuration_parser()
    arguments = [*(["--config", str(file)] if file is not None else []), *overrides]
    try:
        values = parser.parse_args(arguments)
        values.pop("config", None)
        config = TrainingConfig(**vars(parser.instantiate(values)))
    except GLNetError:
        raise
    except Exception as error:  # jsonargparse raises whatever the values provoke
        raise ConfigurationError(_explained(error, parser)) from error
    return _with_description(config, file)


def _with_description(config: TrainingConfig, file: str | Path | None) -> TrainingConfig:
    named = config.data.description
    if named is None or file is None or Path(named).exists():
        return config
    beside = Path(file).parent / named
    if not beside.exists():
        return config
    return replace(config, data=replace(config.data, description=str(beside)))


def _check_yaml(file: Path) -> None:
    if not file.is_file():
        raise ConfigurationError(f"no such configuration file: {file}")
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{file} is no readable YAML: {_one_line(error)}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{file}: expected keys such as data and output, got {values!r}")


def _explained(error: Exception, parser: ArgumentParser) -> str:
    """The parser's complaint in one line; of a key that is not known, with those that are."""
    complaint = _one_line(error)
    if (strange := UNKNOWN_KEY.search(complaint)) is None:
        return complaint
    key = ".".join(part for part in strange.groups() if part)
    keys = list(parser.get_defaults().keys())
    group = ""
    for part in key.split("."):
        known = {
            known.removeprefix(group).split(".")[0] for known in keys if known.startswith(group)
        }
        if part not in known:
            listed = ", ".join(sorted(known - {"config"}))
            return f"unknown key {group}{part}; known here: {listed}"
        group += f"{part}."
    return complaint


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
