"""The stages of thumbnails: the global branch alone (section 3.2.1), the coarse one (3.3)."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from glnet.model.branch import AnyBranch, BranchOutput
from glnet.model.glnet import GLNet, required
from glnet.training.losses import label_counts
from glnet.training.portions import Portion
from glnet.training.steps.step import (
    Backward,
    Objective,
    Seen,
    auxiliary_losses,
    auxiliary_names,
    descended,
)


class ContextStep:
    """A branch that hears nobody learns to segment thumbnails.

    Args:
        network: With a context branch, or the branch that is given.
        objective: What is minimised.
        branch: Which of the network's learns; by default the context branch.

    Raises:
        ValueError: If the network has no context branch and none is given.
    """

    def __init__(
        self, network: GLNet, objective: Objective, branch: AnyBranch | None = None
    ) -> None:
        self.network = network
        self._branch: AnyBranch = required(
            network.context if branch is None else branch, "context branch"
        )
        self._objective = objective
        self.trained: Sequence[nn.Module] = [self._branch]
        self.names: Sequence[str] = ["global", *auxiliary_names(self._branch)]

    def see(self, portion: Portion, backward: Backward | None) -> Seen:
        """The focal loss of the global answer on thumbnails."""
        if portion.thumbnails is None:
            return Seen({})
        pixels, labels = portion.thumbnails
        output: BranchOutput = self._branch(pixels)
        logits = output.logits
        shares = logits.new_tensor([look.share for look in portion.task.looks], dtype=torch.float32)
        totals = self._objective.total(label_counts(labels, logits.shape[1]))
        focal = partial(self._objective.focal, labels=labels, total=totals / shares)
        losses = {"global": focal(logits), **auxiliary_losses(self._branch, output, focal)}
        return descended(losses, backward, logits, labels)
