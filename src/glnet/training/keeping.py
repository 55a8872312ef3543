"""Checkpoints: whole or not there, of the last moment and of the best one."""

import io
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO

from glnet.errors import CheckpointError, OutputError
from glnet.raster.writing.output import partial_file, publish, write_error

LAST = "last.ckpt"
BEST = "best.ckpt"


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside the place and renames; Lightning's own leaves half a file on a full disk."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: object = None,
    ) -> None:
        """Write a checkpoint.

        Raises:
            OutputError: If it cannot be written, such as on a full disk; what was there before is
                still there.
        """
        del storage_options
        path = Path(path)
        content = io.BytesIO()  # Torch has no error of a kind of its own for a full disk.
        torch.save(checkpoint, content)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {path.parent}: {error}") from error
        with partial_file(path) as partial:
            try:
                partial.write_bytes(content.getbuffer())
            except OSError as error:
                raise write_error(path, error.strerror or str(error)) from error
            publish(partial, path, overwrite=True)

    def load_checkpoint(self, path: str | Path, *_: object, **__: object) -> dict[str, Any]:
        """Read a checkpoint onto the CPU; nothing in it is executed.

        Raises:
            CheckpointError: If it is damaged, or none of a training.
        """
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint of a training holds, on the CPU; nothing in it is executed.

    Raises:
        CheckpointError: If it is damaged, or none of a training.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever a damaged file provokes
        raise CheckpointError(f"{path} is damaged: {_first_line(error)}; {WAY_OUT}") from error
    if not isinstance(content, dict) or not content.keys() >= PARTS:
        raise CheckpointError(f"{path} is no checkpoint of a training; {WAY_OUT}")
    return content


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


PARTS = {"state_dict", "loops", "optimizer_states", "lr_schedulers", "callbacks"}
"""What Lightning needs to go on."""

WAY_OUT = "remove it, and its stage begins anew with --resume"


class Keeper(Callback):
    """Keeps a stage's last and best moments.

    Writing takes time and epochs may be short, so the last moment is written when the one before
    is old enough, and when the stage ends. What comes after it is done again on resume, the same.

    Args:
        folder: Where ``last.ckpt`` and ``best.ckpt`` go.
        interval_s: How old a checkpoint may become.
    """

    def __init__(self, folder: Path, interval_s: float) -> None:
        self._folder = folder
        self._interval_s = interval_s
        self._written = time.monotonic()
        self._best = float("-inf")

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Keep the epoch if it is the best, or if it is time."""
        figures: Any = pl_module.figures
        miou = figures.validation_miou
        if miou is not None and miou > self._best:
            self._best = miou
            trainer.save_checkpoint(self._folder / BEST)
        is_last = trainer.current_epoch + 1 >= (trainer.max_epochs or 0)
        if is_last or self._is_time(trainer):
            self._keep(trainer)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Keep a step in the middle of a long epoch, if it is time."""
        del pl_module, outputs, batch
        is_inside = batch_idx + 1 < trainer.num_training_batches
        if is_inside and self._is_time(trainer):
            self._keep(trainer)

    def state_dict(self) -> dict[str, Any]:
        """The best score so far; travels in the checkpoint."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint's."""
        self._best = state_dict["best"]

    def _keep(self, trainer: lightning.Trainer) -> None:
        trainer.save_checkpoint(self._folder / LAST)
        self._written = time.monotonic()

    def _is_time(self, trainer: lightning.Trainer) -> bool:
        """The first process's clock decides for all: writing needs every one of them."""
        is_time = time.monotonic() - self._written >= self._interval_s
        return bool(trainer.strategy.broadcast(is_time))


def steps_done(path: Path) -> int:
    """How many optimiser steps of its stage a checkpoint has seen; 0 where there is none.

    Raises:
        CheckpointError: If it is damaged.
    """
    return int(read_checkpoint(path)["global_step"]) if path.exists() else 0
