"""What every stage's step has in common: portions in, gradients and answers out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from glnet.model.branch import AnyBranch, BranchOutput
from glnet.model.glnet import GLNet
from glnet.training.config import LossConfig
from glnet.training.losses import focal_sums, focal_total
from glnet.training.portions import Opening, Portion

T = TypeVar("T")

Losses = dict[str, Tensor]
"""What a portion adds to the weighted losses of its step, by name; their sum is minimised."""


class Backward(Protocol):
    """Differentiates a loss, adding to the gradients of the parameters."""

    def __call__(self, loss: Tensor) -> None:
        """Add the gradients of a scalar."""
        ...

    @property
    def scale(self) -> float:
        """By what gradients are multiplied against underflow; 1 where they are not."""
        ...


class Seen(NamedTuple):
    """What came of a portion.

    Attributes:
        losses: Detached.
        logits: The stage's answer (N, K, h, w), to count on the validation split.
        labels: (N, H, W); None where the portion asks for no answer.
    """

    losses: Losses
    logits: Tensor | None = None
    labels: Tensor | None = None


class Step(Protocol):
    """What a stage does with a portion."""

    network: GLNet
    trained: Sequence[nn.Module]
    names: Sequence[str]
    """Of its losses."""

    def see(self, portion: Portion, backward: Backward | None) -> Seen:
        """Run a portion, and differentiate its losses if that is asked for."""
        ...


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What is minimised.

    Attributes:
        loss: Weights.
        class_weights: (K,) or None.
    """

    loss: LossConfig
    class_weights: Tensor | None = None

    def focal(self, logits: Tensor, labels: Tensor, total: Tensor) -> Tensor:
        """The focal loss of a portion as its part of a mean over ``total`` weighted pixels."""
        sums = focal_sums(logits, labels, self.loss.gamma, self._weights(logits))
        return (sums / total).sum()

    def total(self, counts: Tensor) -> Tensor:
        """The weighted pixels of class counts (..., K)."""
        return focal_total(counts, self._weights(counts))

    def _weights(self, like: Tensor) -> Tensor | None:
        return None if self.class_weights is None else self.class_weights.to(like.device)


def see_context(network: GLNet, opening: Opening) -> BranchOutput | None:
    """The frozen context branch on one image's thumbnail, without a graph."""
    if network.context is None or opening.thumbnail is None:
        return None
    with torch.no_grad():
        output: BranchOutput = network.context(opening.thumbnail.pixels[None])
    return output


def auxiliary_names(branch: AnyBranch) -> list[str]:
    """The name of what `auxiliary_losses` gives, if anything."""
    return ["auxiliary"] if branch.auxiliary_weights else []


def auxiliary_losses(
    branch: AnyBranch, output: BranchOutput, loss_of: Callable[[Tensor], Tensor]
) -> Losses:
    """What the answers of a network's coarser layers add, which it gives in training alone."""
    if not output.auxiliary:
        return {}
    weighted = zip(branch.auxiliary_weights, output.auxiliary, strict=True)
    return {
        "auxiliary": torch.stack([weight * loss_of(logits) for weight, logits in weighted]).sum()
    }


def descended(losses: Losses, backward: Backward | None, logits: Tensor, labels: Tensor) -> Seen:
    """Differentiate the sum of the losses, if that is asked for, and let go of the graph."""
    if backward is not None:
        backward(torch.stack(list(losses.values())).sum())
    return Seen({name: of.detach() for name, of in losses.items()}, logits.detach(), labels)


def opened(state: T | None) -> T:
    """What a step remembers of the image at hand.

    Raises:
        ValueError: If no image was opened.
    """
    if state is None:
        raise ValueError("a portion came before the first one of its image")
    return state
