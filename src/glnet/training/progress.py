"""What a user hears of a running stage."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import lightning
from lightning.pytorch.callbacks import Callback


@dataclass(frozen=True)
class Moment:
    """Where a stage stands.

    Attributes:
        stage: Its name.
        epoch: Epochs done.
        epochs: Epochs in all.
        loss: Mean loss of the steps since the last moment.
        mean_iou: On the validation split when last looked at, or None.
        seconds: Since the stage began.
        seconds_left: Estimate for the rest of the stage.
    """

    stage: str
    epoch: int
    epochs: int
    loss: float
    mean_iou: float | None
    seconds: float
    seconds_left: float


Report = Callable[[Moment], None]
"""Told after every epoch."""

Steps = Callable[[str, int, int], None]
"""Told after every step: the stage, how many of its steps are done, how many there are."""


def unseen(stage: str, done: int, total: int) -> None:
    """Steps that nobody watches."""


class StageProgress(Callback):
    """Tells how far a stage is.

    Args:
        stage: Its name.
        report: Told after every epoch.
        steps: Told after every step.
    """

    def __init__(self, stage: str, report: Report, steps: Steps = unseen) -> None:
        self._stage = stage
        self._report = report
        self._steps = steps
        self._began = time.monotonic()
        self._losses: list[float] = []

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        *_: object,
        **__: object,
    ) -> None:
        """Remember the step's loss."""
        self._steps(self._stage, trainer.global_step, int(trainer.estimated_stepping_batches))
        loss = trainer.callback_metrics.get("train/loss")
        if loss is not None:
            self._losses.append(float(loss))

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Tell where the stage stands."""
        del pl_module
        done, total = trainer.current_epoch + 1, trainer.max_epochs or 1
        seconds = time.monotonic() - self._began
        miou = trainer.callback_metrics.get("validation/miou")
        loss = sum(self._losses) / max(1, len(self._losses))
        self._losses = []
        self._report(
            Moment(
                stage=self._stage,
                epoch=done,
                epochs=total,
                loss=loss,
                mean_iou=None if miou is None else float(miou),
                seconds=seconds,
                seconds_left=seconds / done * (total - done),
            )
        )
