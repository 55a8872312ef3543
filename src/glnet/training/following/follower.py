"""Writes down how a stage goes: a row per round, curves, pictures, loggers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger

from glnet.inference.machine import peak_device_bytes, peak_host_bytes
from glnet.model.checkpoint import Model
from glnet.training.following.curves import draw_curves
from glnet.training.following.history import History
from glnet.training.following.picture_files import Standing
from glnet.training.following.pictures import FixedImages, is_due
from glnet.training.following.rounds import Round
from glnet.training.following.telling import log_configuration, log_round
from glnet.training.progress import Figures

ROUND_STEPS = 100
"""A long epoch has a row every so many steps."""


@dataclass(frozen=True, kw_only=True)
class Followed:
    """What a stage is followed with.

    Attributes:
        stage: Its name.
        model: That is trained.
        history: Of the run.
        curves: Folder for their pictures.
        images: That are drawn.
        pictures_every: Epochs between pictures; 0 draws none.
        loggers: That are told.
        configuration: As it stands in ``config.yaml``.
    """

    stage: str
    model: Model
    history: History
    curves: Path
    images: FixedImages
    pictures_every: float
    loggers: Sequence[Logger]
    configuration: str


class Follower(Callback):
    """Follows a stage; comes after all callbacks that read its figures, which begin anew here.

    Args:
        followed: With what.
    """

    def __init__(self, followed: Followed) -> None:
        self._followed = followed
        self._epochs_before = 0.0

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Forget rows of what is done again."""
        self._epochs_before = _epochs(trainer, pl_module)
        self._followed.history.resume(self._followed.stage, self._epochs_before)
        if self._is_written():  # A checkpoint is written before the round it ends.
            module: Any = pl_module
            module.begin_anew()
        log_configuration(self._followed.loggers, self._followed.configuration)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Close a round in the middle of a long epoch."""
        del outputs, batch
        module: Any = pl_module
        is_inside = batch_idx + 1 < trainer.num_training_batches
        if is_inside and module.figures.steps >= ROUND_STEPS:
            self._close(trainer, pl_module)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Close the epoch's last round, and draw if it is time."""
        self._close(trainer, pl_module)
        followed, done = self._followed, float(trainer.current_epoch + 1)
        is_last = done >= (trainer.max_epochs or 0)
        if is_due(followed.pictures_every, self._epochs_before, done, is_last=is_last):
            standing = Standing(followed.stage, done, trainer.global_step)
            followed.images.draw(followed.model, standing, followed.loggers)
        if is_last:
            draw_curves(followed.history.rounds, followed.curves)
        self._epochs_before = done

    def on_train_end(self, *_: object) -> None:
        """Let loggers finish what they write."""
        for logger in self._followed.loggers:
            logger.finalize("success")

    def _is_written(self) -> bool:
        """Whether the last row is that of this moment."""
        rounds = [of for of in self._followed.history.rounds if of.stage == self._followed.stage]
        return bool(rounds) and rounds[-1].epoch == self._epochs_before

    def _close(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        module: Any = pl_module
        figures: Figures = module.figures
        module.figures = Figures()
        if not figures.steps:
            return
        of = Round(
            stage=self._followed.stage,
            epoch=_epochs(trainer, pl_module),
            step=trainer.global_step,
            seconds=figures.seconds,
            losses=figures.mean_losses,
            learning_rate=figures.learning_rate,
            gradient_norm=sum(figures.gradient_norms) / figures.steps,
            gradient_norm_max=max(figures.gradient_norms),
            validation_loss=figures.validation_loss,
            validation_miou=figures.validation_miou,
            waiting_share=figures.waited_s / figures.seconds if figures.seconds else None,
            images_per_second=figures.images / figures.seconds if figures.seconds else None,
            peak_memory_mib=_peak_mib(str(pl_module.device)),
        )
        self._followed.history.append(of)
        log_round(self._followed.loggers, of)


def _epochs(trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> float:
    """Epochs done, parts of them too, by the steps that are done."""
    module: Any = pl_module
    return float(trainer.global_step / module.feeds.training.plan.steps)


def _peak_mib(device: str) -> float | None:
    peak = peak_device_bytes(device) or peak_host_bytes()
    return None if peak is None else peak / 2**20
