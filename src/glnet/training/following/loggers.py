"""The loggers of a stage: TensorBoard, and whichever of Lightning's a configuration names."""

import inspect
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from lightning.pytorch import loggers as lightning_loggers
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from glnet.errors import ConfigurationError
from glnet.training.following.logger_config import LoggerConfig

HOME = "lightning.pytorch.loggers"


def check_loggers(configs: Sequence[LoggerConfig]) -> None:
    """Refuse loggers that cannot be made, before work is spent; none is made yet.

    Raises:
        ConfigurationError: If a class does not exist or is no logger, or does not take the
            arguments.
    """
    for config in configs:
        _check_arguments(config, _class_of(config))


def build_loggers(
    configs: Sequence[LoggerConfig],
    output: Path,
    stage: str,
    *,
    tensorboard: bool = True,
    resumed_at: int = 0,
) -> list[Logger]:
    """Make the loggers of a stage.

    Args:
        configs: Those beside TensorBoard.
        output: The run's folder; TensorBoard's files go to ``logs/<stage>`` in it.
        stage: That trains.
        tensorboard: Whether TensorBoard is written.
        resumed_at: How many steps of the stage were done before. TensorBoard goes on in the same
            folder, and what an interrupted run wrote beyond that step is no longer shown.

    Raises:
        ConfigurationError: As `check_loggers`, or if a logger needs a package that is missing or
            refuses its arguments.
    """
    check_loggers(configs)
    made: list[Logger] = []
    if tensorboard:
        beyond = resumed_at + 1 if resumed_at else None
        made.append(
            TensorBoardLogger(
                output / "logs", stage, "", default_hp_metric=False, purge_step=beyond
            )
        )
    return made + [_built(config, output, stage) for config in configs]


def _built(config: LoggerConfig, output: Path, stage: str) -> Logger:
    try:
        logger: Logger = _class_of(config)(**config.arguments(str(output), stage))
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"loggers: {config.class_path} needs a package that is not installed: "
            f"{_one_line(error)}; install it, or take the logger out"
        ) from error
    except Exception as error:  # A logger of whatever make raises what it likes.
        raise ConfigurationError(
            f"loggers: {config.class_path} cannot be made with the given init_args: "
            f"{type(error).__name__}: {_one_line(error)}"
        ) from error
    return logger


def _class_of(config: LoggerConfig) -> type[Logger]:
    path = config.class_path if "." in config.class_path else f"{HOME}.{config.class_path}"
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        known = ", ".join(sorted(lightning_loggers.__all__))
        raise ConfigurationError(
            f"loggers: there is no {path} ({_one_line(error)}); expected one of {known}, "
            "or the full path of another Lightning logger"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Logger)):
        raise ConfigurationError(f"loggers: {path} is no Lightning logger (a subclass of {HOME})")
    return found


def _check_arguments(config: LoggerConfig, found: type[Logger]) -> None:
    signature = inspect.signature(found)
    try:
        signature.bind(**config.init_args)
    except TypeError as error:
        known = ", ".join(signature.parameters)
        raise ConfigurationError(
            f"loggers: {config.class_path} does not take these init_args: {error}; it knows {known}"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
