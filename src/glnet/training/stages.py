"""A stage as Lightning runs it: optimiser, schedule, freezing, counting on the validation split.

What a stage sees and minimises is its step's matter (`steps.py`). Gradients accumulate image by
image, so that a step holds the graphs of one image's patches only.
"""

from typing import Any

import lightning
import torch
from torch import nn

from glnet.evaluation.confusion import Confusion
from glnet.training.config import RunConfig, StageConfig
from glnet.training.steps import Step

POLYNOMIAL_POWER = 0.9
"""Of the published code's learning rate, (1 - t/T)^0.9."""


class StageModule(lightning.LightningModule):
    """Trains what its step says, and nothing else.

    Args:
        step: What is seen, computed and minimised.
        stage: Epochs and rates.
        run: Schedule and weight decay.
    """

    def __init__(self, step: Step, stage: StageConfig, run: RunConfig) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.step = step
        self.network = step.network
        self.trained = nn.ModuleList(step.trained)
        self.stage = stage
        self.run = run
        self.confusion: Confusion | None = None
        self.network.requires_grad_(requires_grad=False)
        self.trained.requires_grad_(requires_grad=True)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - one of Lightning's many
        """Adam with the paper's betas; the schedule moves once per step."""
        optimizer = torch.optim.Adam(
            self.trained.parameters(),
            lr=self.stage.learning_rate,
            weight_decay=self.run.weight_decay,
        )
        if self.run.schedule == "constant":
            return {"optimizer": optimizer}
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: max(0.0, 1 - step / steps) ** POLYNOMIAL_POWER
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule}}

    def on_train_epoch_start(self) -> None:
        """Freeze what does not learn: also its batch norm statistics."""
        self.network.eval()
        self.trained.train()

    def training_step(self, batch: Any, _: int) -> None:  # noqa: ANN401 - Lightning's signature
        """One optimiser step; the losses of a step are logged as its means."""
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        logged: dict[str, list[float]] = {}
        parts = self.step.parts(batch)
        for part in parts:
            losses = self.step.losses(part)
            self.manual_backward(sum(losses.values(), torch.zeros(())) / len(parts))
            for name, value in losses.items():
                logged.setdefault(name, []).append(float(value.detach()))
        optimizer.step()
        schedule: Any = self.lr_schedulers()
        if schedule is not None:
            schedule.step()
        means = {f"train/{name}": sum(of) / len(of) for name, of in logged.items()}
        self.log_dict(means, on_step=True, on_epoch=False, batch_size=1)
        self.log("train/loss", sum(means.values()), prog_bar=True, batch_size=1)

    def on_validation_epoch_start(self) -> None:
        """Count from nothing."""
        self.network.eval()
        self.confusion = None

    def validation_step(self, batch: Any, _: int) -> None:  # noqa: ANN401
        """Count the stage's own answer at the network's resolution."""
        for part in self.step.parts(batch):
            logits, labels = self.step.answer(part)
            if self.confusion is None:
                self.confusion = Confusion(logits.shape[1])
            enlarged = nn.functional.interpolate(logits.float(), labels.shape[-2:], mode="bilinear")
            self.confusion.add(enlarged.argmax(1).cpu().numpy(), labels.cpu().numpy())

    def on_validation_epoch_end(self) -> None:
        """Log the mean IoU of what was counted."""
        if self.confusion is not None:
            self.log("validation/miou", self.confusion.mean_iou, prog_bar=True)
