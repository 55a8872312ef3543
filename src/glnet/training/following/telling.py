"""What loggers are told: scalars of a round, the configuration, pictures."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from numpy.typing import NDArray

from glnet.training.following.rounds import Round


def scalars_of(of: Round) -> dict[str, float]:
    """The numbers of a round by the names that curves have; what is not known is left out."""
    numbers: dict[str, float | None] = {
        "train/loss": of.loss,
        **{f"train/{name}": value for name, value in of.losses.items()},
        "train/learning_rate": of.learning_rate,
        "train/gradient_norm": of.gradient_norm,
        "train/gradient_norm_max": of.gradient_norm_max,
        "train/epoch": of.epoch,
        "validation/loss": of.validation_loss,
        "validation/miou": of.validation_miou,
        "machine/waiting_share": of.waiting_share,
        "machine/images_per_second": of.images_per_second,
        "machine/peak_memory_mib": of.peak_memory_mib,
    }
    return {name: value for name, value in numbers.items() if value is not None}


def log_round(loggers: Sequence[Logger], of: Round) -> None:
    """Tell every logger the numbers of a round, at its step."""
    for logger in loggers:
        logger.log_metrics(scalars_of(of), of.step)
        logger.save()


def log_configuration(loggers: Sequence[Logger], text: str) -> None:
    """Show the resolved configuration, as it stands in ``config.yaml``, in TensorBoard."""
    for board in _boards(loggers):
        # Markdown shows what is indented by four as it is.
        indented = "\n".join(f"    {line}" for line in text.splitlines())
        board.add_text("configuration", indented, 0)


def log_picture(loggers: Sequence[Logger], name: str, pixels: NDArray[np.uint8], step: int) -> None:
    """Show a picture in TensorBoard.

    Args:
        loggers: Those of the stage; others than TensorBoard are passed over.
        name: What it is called there.
        pixels: (height, width, 3).
        step: Of the stage.
    """
    for board in _boards(loggers):
        board.add_image(name, pixels, step, dataformats="HWC")


def _boards(loggers: Sequence[Logger]) -> Iterator[Any]:
    return (logger.experiment for logger in loggers if isinstance(logger, TensorBoardLogger))
