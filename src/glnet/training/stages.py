"""A stage as Lightning runs it: a batch is an optimiser step, and brings nothing but its number.

What a step sees is the plan's matter, how it comes is the feed's, what is made of it is the step's
(`steps/`). Gradients add up over portions and devices; then the optimiser moves once.
"""

import math
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, NamedTuple

import lightning
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from glnet.errors import TrainingError
from glnet.evaluation.confusion import Confusion
from glnet.training.config import RunConfig, StageConfig
from glnet.training.devices import add_gradients, agreed, alike, share_weights, summed
from glnet.training.feeding import Feed
from glnet.training.plan import Part
from glnet.training.portions import Portion
from glnet.training.progress import Figures
from glnet.training.statistics import StepStatistics
from glnet.training.steps import Backward, Losses, Seen, Step

POLYNOMIAL_POWER = 0.9
"""Of the published code's learning rate, (1 - t/T)^0.9."""


FIGURES = "figures"
"""Where a checkpoint has them."""


class Feeds(NamedTuple):
    """What a stage sees.

    Attributes:
        training: Fed step by step.
        validation: Looked at between epochs, as one step.
        num_classes: How many classes the labels have.
    """

    training: Feed
    validation: Feed
    num_classes: int


class StageModule(lightning.LightningModule):
    """Trains what its step says, and nothing else.

    Args:
        step: What is seen, computed and minimised.
        stage: Epochs and rates.
        run: Schedule and weight decay.
        feeds: What every step is fed, and the validation split.
    """

    def __init__(self, step: Step, stage: StageConfig, run: RunConfig, feeds: Feeds) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.step = step
        self.network = step.network
        self.trained = nn.ModuleList(step.trained)
        self.stage = stage
        self.run = run
        self.feeds = feeds
        self.figures = Figures()
        self._resumed: Figures | None = None
        self._statistics = StepStatistics(step.trained)
        self.network.requires_grad_(requires_grad=False)
        self.trained.requires_grad_(requires_grad=True)

    @property
    def total_steps(self) -> int:
        """How many steps the stage has."""
        return self.stage.epochs * self.feeds.training.plan.steps

    def setup(self, stage: str) -> None:
        """Take this process's part of every step, now that it is known."""
        del stage
        part = Part(self.trainer.global_rank, self.trainer.world_size)
        self.feeds.training.plan.part = self.feeds.validation.plan.part = part

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - one of Lightning's many
        """Adam with the paper's betas; the schedule moves once per step."""
        optimizer = torch.optim.Adam(
            self.trained.parameters(),
            lr=self.stage.learning_rate,
            weight_decay=self.run.weight_decay,
        )
        if self.run.schedule == "constant":
            return {"optimizer": optimizer}
        steps = self.total_steps
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: max(0.0, 1 - step / steps) ** POLYNOMIAL_POWER
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the steps of the epoch add up to, so that its row will be of all of them."""
        checkpoint[FIGURES] = asdict(self.figures)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on adding, if the checkpoint is from inside of an epoch."""
        if FIGURES in checkpoint:
            self._resumed = Figures(**checkpoint[FIGURES])

    def begin_anew(self) -> None:
        """What the figures say is written down, those of a checkpoint too."""
        self.figures, self._resumed = Figures(), None

    def on_train_start(self) -> None:
        """Begin an epoch also where a stage goes on in the middle of one."""
        share_weights(self.network)
        self.on_train_epoch_start()
        if self._resumed is not None:
            self.figures, self._resumed = self._resumed, None

    def on_train_epoch_start(self) -> None:
        """Freeze what does not learn, and decide whether validation follows this epoch."""
        self.hold()
        self.figures = Figures()
        done = self.current_epoch + 1
        is_due = done % self.run.validate_every == 0 or done >= self.stage.epochs
        # Lightning knows "every so many epochs" only: every epoch, or one that never comes.
        self.trainer.check_val_every_n_epoch = 1 if is_due else done + 1

    def hold(self) -> None:
        """Only what is trained is in training mode; its statistics only where they are wanted."""
        self.network.eval()
        self.trained.train()
        if self.run.batch_statistics == "running":
            for module in self.trained.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()

    def training_step(self, _: object, batch_idx: int) -> None:
        """What Lightning calls a step: one move, its figures, and the next learning rate."""
        feed, began = self.feeds.training, time.perf_counter()
        waited = feed.waited_s
        optimizer: Any = self.optimizers()
        portions = feed.step(self.current_epoch, batch_idx, self.device)
        losses, norm = self.move(portions, optimizer, _Backward(self))
        rate = optimizer.param_groups[0]["lr"]
        schedule: Any = self.lr_schedulers()
        if schedule is not None:
            schedule.step()
        self.figures.add(_over_devices(losses), rate, norm)
        self.figures.images += feed.plan.images(batch_idx)
        self.figures.seconds += time.perf_counter() - began
        self.figures.waited_s += feed.waited_s - waited

    def move(
        self, portions: Iterable[Portion], optimizer: torch.optim.Optimizer, backward: Backward
    ) -> tuple[Losses, float]:
        """One optimiser step, portion by portion; returns the losses and the gradient's norm.

        Raises:
            TrainingError: If a loss or the gradient is no finite number.
        """
        optimizer.zero_grad()
        self._statistics.begin()
        losses = self._no_losses()
        with agreed():
            for portion in portions:
                seen = self.step.see(portion, backward)
                self._check(seen.losses, portion.stems)
                _add(losses, seen.losses)
        add_gradients(self.step.trained)
        self._statistics.finish(summed)
        norm = self._gradient_norm(backward.scale)
        optimizer.step()
        return losses, norm

    def _check(self, losses: Losses, stems: tuple[str, ...]) -> None:
        for name, of in losses.items():
            if not math.isfinite(float(of)):
                raise TrainingError(
                    f"the {name} loss became {float(of)} at step {self.global_step + 1} of "
                    f"{self.total_steps}, image {', '.join(stems)}; the last checkpoint is from "
                    "before it. Look at that image, or start again with a lower learning rate"
                )

    def _gradient_norm(self, scale: float) -> float:
        gradients = [of.grad for of in self.trained.parameters() if of.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(gradients)) / scale
        if scale == 1 and not math.isfinite(norm):
            raise alike(
                TrainingError(
                    f"the gradient became {norm} at step {self.global_step + 1} of "
                    f"{self.total_steps}; the last checkpoint is from before it. "
                    "Start again with a lower learning rate"
                )
            )
        return norm

    def on_validation_epoch_start(self) -> None:
        """Nothing learns."""
        self.network.eval()

    def validation_step(self, _: object, __: int) -> None:
        """Count the stage's own answer at the network's resolution, over all images."""
        losses, confusion = self._no_losses(), Confusion(self.feeds.num_classes, self.device)
        with agreed():
            for portion in self.feeds.validation.step(0, 0, self.device):
                seen = self.step.see(portion, None)
                _add(losses, seen.losses)
                _count(confusion, seen)
        confusion.join(summed)
        loss = sum(_over_devices(losses).values())
        self.figures.validate(loss, confusion.mean_iou)

    def _no_losses(self) -> Losses:
        return {name: torch.zeros((), device=self.device) for name in self.step.names}


def _count(confusion: Confusion, seen: Seen) -> None:
    if seen.logits is None or seen.labels is None:
        return
    size = seen.labels.shape[-2:]
    enlarged = nn.functional.interpolate(seen.logits.float(), size, mode="bilinear")
    # As argmax, which takes several times as long along this axis on a CPU.
    confusion.add(enlarged.max(1).indices, seen.labels)


def _add(total: Losses, losses: Losses) -> None:
    for name, of in losses.items():
        total[name] = total[name] + of


def _over_devices(losses: Losses) -> dict[str, float]:
    """The sums over all processes; those that had no image have the same names."""
    values: list[float] = summed(torch.stack([of.float() for of in losses.values()])).tolist()
    return dict(zip(losses, values, strict=True))


class _Backward:
    """Lightning's backward pass, which knows how the precision scales gradients."""

    def __init__(self, module: StageModule) -> None:
        self._module = module

    def __call__(self, loss: Tensor) -> None:
        self._module.manual_backward(loss)

    @property
    def scale(self) -> float:
        scaler = getattr(self._module.trainer.precision_plugin, "scaler", None)
        return 1.0 if scaler is None else float(scaler.get_scale())
