"""What is known of a running stage, and what a user hears of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from glnet.training.following.timing import estimate_left


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


@dataclass
class Figures:
    """What the steps of an epoch add up to.

    Attributes:
        losses: Sums by name.
        steps: How many steps.
        learning_rate: Of the last one.
        gradient_norms: Of every one.
        images: That were seen, over all processes.
        seconds: That the steps took, waiting for data included.
        waited_s: Of those, waiting.
        validation_loss: Where the validation split was looked at.
        validation_miou: Likewise.
    """

    losses: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    learning_rate: float = 0.0
    gradient_norms: list[float] = field(default_factory=list)
    images: int = 0
    seconds: float = 0.0
    waited_s: float = 0.0
    validation_loss: float | None = None
    validation_miou: float | None = None

    def add(self, losses: dict[str, float], rate: float, norm: float) -> None:
        """Add a step's."""
        for name, value in losses.items():
            self.losses[name] = self.losses.get(name, 0.0) + value
        self.steps += 1
        self.learning_rate = rate
        self.gradient_norms.append(norm)

    def validate(self, loss: float, miou: float) -> None:
        """Keep what the validation split said."""
        self.validation_loss, self.validation_miou = loss, miou

    @property
    def mean_losses(self) -> dict[str, float]:
        """By name, over the steps."""
        return {name: value / max(1, self.steps) for name, value in self.losses.items()}


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
        self._epochs_before = 0

    def on_train_start(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        """Time what is done from here on; a resumed stage has epochs that took no time."""
        self._began = time.monotonic()
        self._epochs_before = trainer.current_epoch

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: object
    ) -> None:
        """Tell that a step is done."""
        total: Any = pl_module.total_steps
        self._steps(self._stage, trainer.global_step, total)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Tell where the stage stands."""
        figures: Any = pl_module.figures
        done, total = trainer.current_epoch + 1, trainer.max_epochs or 1
        seconds = time.monotonic() - self._began
        self._report(
            Moment(
                stage=self._stage,
                epoch=done,
                epochs=total,
                loss=sum(figures.mean_losses.values()),
                mean_iou=figures.validation_miou,
                seconds=seconds,
                seconds_left=estimate_left(self._epochs_before, done, total, seconds) or 0.0,
            )
        )
