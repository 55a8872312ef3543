"""Loggers as a configuration names them: a class of Lightning's kind, and what it is made with.

In YAML, Lightning's own notation::

    loggers:
      - class_path: WandbLogger
        init_args: {project: fields, name: "{stage}"}

The configuration's type is a list of plain mappings, not of `LoggerConfig`: jsonargparse takes an
object with the keys ``class_path`` and ``init_args`` for the name of a class to put in its place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from glnet.errors import ConfigurationError

KEYS = ("class_path", "init_args")


@dataclass(frozen=True, kw_only=True)
class LoggerConfig:
    """A logger that is wanted beside the run's own.

    Attributes:
        class_path: Where its class is, such as ``lightning.pytorch.loggers.WandbLogger``; a name
            without dots is one of ``lightning.pytorch.loggers``.
        init_args: What it is made with. ``{output}`` and ``{stage}`` in texts stand for the run's
            folder and the stage that trains.

    Raises:
        ConfigurationError: If the arguments are not plain values (numbers, texts, true, false,
            null, and lists and mappings of them), so that they could not be written down.
    """

    class_path: str
    init_args: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in self.init_args.items():
            if not _is_plain(value):
                raise ConfigurationError(
                    f"loggers: {self.class_path}: init_args.{name} must be made of numbers, texts, "
                    f"true, false, null, lists and mappings; got {type(value).__name__}"
                )

    def arguments(self, output: str, stage: str) -> dict[str, Any]:
        """The arguments with its places filled in."""
        filled: dict[str, Any] = _filled(self.init_args, {"{output}": output, "{stage}": stage})
        return filled


def logger_configs(values: Sequence[Mapping[str, Any]]) -> list[LoggerConfig]:
    """The loggers that a configuration's list of mappings names.

    Raises:
        ConfigurationError: If one has no ``class_path``, an unknown key, or values of another type.
    """
    return [_logger_config(number, value) for number, value in enumerate(values)]


def _logger_config(number: int, value: Mapping[str, Any]) -> LoggerConfig:
    where = f"loggers[{number}]"
    if unknown := sorted(str(key) for key in value if key not in KEYS):
        raise ConfigurationError(f"unknown key {where}.{unknown[0]}; known here: {', '.join(KEYS)}")
    path, arguments = value.get("class_path"), value.get("init_args", {})
    if not isinstance(path, str) or not path:
        raise ConfigurationError(
            f"{where}.class_path: expected a logger such as CSVLogger, got {path!r}"
        )
    if not isinstance(arguments, dict) or not all(isinstance(key, str) for key in arguments):
        raise ConfigurationError(
            f"{where}.init_args: expected the logger's arguments by name, got {arguments!r}"
        )
    return LoggerConfig(class_path=path, init_args=arguments)


def _is_plain(value: Any) -> bool:  # noqa: ANN401 - whatever a configuration may hold
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(of) for key, of in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _filled(value: Any, places: Mapping[str, str]) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: _filled(of, places) for key, of in value.items()}
    if isinstance(value, list):
        return [_filled(of, places) for of in value]
    if isinstance(value, str):
        for place, text in places.items():
            value = value.replace(place, text)
    return value
