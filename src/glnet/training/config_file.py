"""A training configuration from a YAML file and options that override it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from glnet.errors import ConfigurationError, GLNetError
from glnet.training.config import CoarseToFineTraining, TrainingConfig
from glnet.training.yaml_texts import dumped

UNKNOWN_KEY = re.compile(
    r"(?:Group '([^']+)' does not accept o|O)ption '([^']+)'|unrecognized arguments: --([\w.-]+)"
)
"""How the parser complains of a key in a file and of one on the command line."""

OPTIONAL = "coarse_to_fine"
"""The group of keys that is missing where no key of it is given, or null is."""

REWORDINGS = (
    (r'Parser key "([^"]+)": Unable to load config.*', r"\1 is a group of keys; give one of them"),
    (r'Parser key "([^"]+)":', r"\1:"),
    (r"Expected an? <class 'int'>\.", "expected a whole number."),
    (r"Expected an? <class 'float'>\.", "expected a number."),
    (r"Expected an? <class 'bool'>\.", "expected true or false."),
    (r"Expected an? <class 'str'>\.", "expected a text."),
    (r"Expected an? typing\.Literal\[(.*?)\]\.", r"expected one of \1."),
    (r"\. Got value: ", ", got "),
    (r"^argument ", ""),
    (r"the following arguments are required: (.*)", r"nothing is given for \1"),
)
"""From jsonargparse's words to those of somebody who writes a configuration."""


def configuration_parser() -> ArgumentParser:
    """A parser that knows every key of a `TrainingConfig`, with its documentation as help."""
    parser = ArgumentParser(prog="glnet train", exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file with any of the keys below")
    parser.add_class_arguments(TrainingConfig, None, skip={OPTIONAL})
    # A group like the others: as a value that may be missing, the parser would take a class's name.
    parser.add_class_arguments(CoarseToFineTraining, OPTIONAL)
    return parser


def read_config(file: str | Path | None, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Read a configuration: the file first, then ``--key value`` overrides.

    A file may name another one that it ``extends``, relative to itself; its own keys win. A dataset
    description that is not found where the command runs is looked for beside the file that names
    it.

    Raises:
        ConfigurationError: If the file is missing or no YAML, a key is unknown, or a value is of
            the wrong type or out of range.
    """
    parser = configuration_parser()
    files = [] if file is None else _extended(Path(file))
    is_given = _is_given(files, overrides)
    for path, given in files:
        _check_groups(str(path), given, parser.get_defaults().as_dict())
    arguments = list(overrides)
    for _, given in reversed(files):
        arguments = ["--config", dumped(given), *arguments]
    try:
        values = parser.parse_args(arguments)
        values.pop("config", None)
        _refuse_nulls(values, parser.get_defaults())
        made = vars(parser.instantiate(values))
        config = TrainingConfig(**{**made, OPTIONAL: made[OPTIONAL] if is_given else None})
    except GLNetError:
        raise
    except Exception as error:  # jsonargparse raises whatever the values provoke
        raise ConfigurationError(_explained(error, parser)) from error
    return _with_description(config, [path for path, _ in files])


def _is_given(files: Sequence[tuple[Path, dict[str, Any]]], overrides: Sequence[str]) -> bool:
    """Whether the optional group is; of files the last one that names it decides.

    A null is taken out, as the parser knows none for a group.
    """
    is_given = False
    for _, given in files:
        if OPTIONAL in given:
            is_given = given[OPTIONAL] is not None
            if not is_given:
                del given[OPTIONAL]
    return is_given or any(re.match(rf"--{OPTIONAL}\b", of) for of in overrides)


def _with_description(config: TrainingConfig, files: Sequence[Path]) -> TrainingConfig:
    named = config.data.description
    if named is None or Path(named).exists():
        return config
    for beside in (path.parent / named for path in reversed(files)):
        if beside.exists():
            return replace(config, data=replace(config.data, description=str(beside)))
    return config


def _extended(file: Path) -> list[tuple[Path, dict[str, Any]]]:
    """A file and those it extends, the one that is extended first."""
    files: list[tuple[Path, dict[str, Any]]] = []
    while True:
        given = _read_yaml(file)
        base = given.pop("extends", None)
        files.insert(0, (file, given))
        if base is None:
            return files
        if not isinstance(base, str):
            raise ConfigurationError(f"{file}: extends names one file, got {base!r}")
        file = file.parent / base
        if file in [path for path, _ in files]:
            raise ConfigurationError(f"{files[0][0]}: extends {base}, which extends it again")


def _read_yaml(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ConfigurationError(f"no such configuration file: {file}")
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{file} is no readable YAML: {_one_line(error)}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{file}: expected keys such as data and output, got {values!r}")
    return values


def _check_groups(where: str, values: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Refuse a value where a group of keys should be; the parser takes it for a file's name."""
    for key, value in values.items():
        known = defaults.get(key)
        if not isinstance(known, dict):
            continue
        if not isinstance(value, dict):
            listed = ", ".join(sorted(known))
            raise ConfigurationError(f"{where}: {key} holds keys ({listed}), got {value!r}")
        _check_groups(f"{where}: {key}", value, known)


def _refuse_nulls(values: Namespace, defaults: Namespace) -> None:
    """The parser lets null pass for any type."""
    for key, default in defaults.items():
        if default is not None and values[key] is None:
            raise ConfigurationError(f"{key}: expected a value such as {default}, got null")


def _explained(error: Exception, parser: ArgumentParser) -> str:
    """The parser's complaint in one line; of a key that is not known, with those that are."""
    complaint = _one_line(error)
    if (strange := UNKNOWN_KEY.search(complaint)) is None:
        return _reworded(complaint)
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


def _reworded(complaint: str) -> str:
    for pattern, replacement in REWORDINGS:
        complaint = re.sub(pattern, replacement, complaint)
    return complaint


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
