"""One round of a stage in numbers, and as a row of a table of text.

A round is what lies between two looks at a stage: an epoch, or a part of one on large sets.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LOSSES = ("aggregated", "local", "global", "regularization", "auxiliary")
"""The weighted losses that stages know, in the order of the columns; a stage has some of them."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a round of a stage came to.

    Attributes:
        stage: Its name.
        epoch: Epochs of the stage done when the round ended; parts of epochs count.
        step: Optimiser steps of the stage done by then.
        seconds: That the round took, validation included.
        losses: Weighted means over the round's steps, by a name of `LOSSES`.
        learning_rate: Of its last step.
        gradient_norm: Mean over its steps.
        gradient_norm_max: Largest of its steps.
        validation_loss: None where the validation split was not looked at.
        validation_miou: Likewise, 0..1.
        waiting_share: Share of the training time that was spent waiting for data, 0..1; None if
            unknown.
        images_per_second: Images seen per second of training; None if unknown.
        peak_memory_mib: Most memory held, of the device where there is one; None if unknown.

    Raises:
        ValueError: If a loss has another name.
    """

    stage: str
    epoch: float
    step: int
    seconds: float
    losses: Mapping[str, float] = field(default_factory=dict)
    learning_rate: float
    gradient_norm: float
    gradient_norm_max: float
    validation_loss: float | None = None
    validation_miou: float | None = None
    waiting_share: float | None = None
    images_per_second: float | None = None
    peak_memory_mib: float | None = None

    def __post_init__(self) -> None:
        if strange := sorted(set(self.losses) - set(LOSSES)):
            raise ValueError(f"losses are named {', '.join(LOSSES)}; got {', '.join(strange)}")

    @property
    def loss(self) -> float:
        """The sum that is minimised."""
        return sum(self.losses.values())


PLAIN = (
    "learning_rate",
    "gradient_norm",
    "gradient_norm_max",
    "validation_loss",
    "validation_miou",
    "waiting_share",
    "images_per_second",
    "peak_memory_mib",
)
"""Attributes that are a column of their own name, of a number or empty."""

COLUMNS = (
    "stage",
    "epoch",
    "step",
    "seconds",
    "loss",
    *(f"loss_{name}" for name in LOSSES),
    *PLAIN,
)


def row_of(of: Round) -> list[str]:
    """The cells of a round, as `COLUMNS`; empty where nothing is known. Floats lose nothing."""
    numbers = [of.seconds, of.loss, *(of.losses.get(name) for name in LOSSES)]
    numbers += [getattr(of, name) for name in PLAIN]
    return [
        of.stage,
        f"{of.epoch:.10g}",
        str(of.step),
        *("" if number is None else repr(float(number)) for number in numbers),
    ]


def round_of(cells: list[str]) -> Round:
    """The round that a row says.

    Raises:
        ValueError: If these are no cells of a round.
    """
    named = dict(zip(COLUMNS, cells, strict=True))
    numbers = {name: float(named[name]) for name in PLAIN if named[name]}
    losses = {name: float(named[f"loss_{name}"]) for name in LOSSES if named[f"loss_{name}"]}
    return Round(
        stage=named["stage"],
        epoch=float(named["epoch"]),
        step=int(named["step"]),
        seconds=float(named["seconds"]),
        losses=losses,
        learning_rate=numbers["learning_rate"],
        gradient_norm=numbers["gradient_norm"],
        gradient_norm_max=numbers["gradient_norm_max"],
        validation_loss=numbers.get("validation_loss"),
        validation_miou=numbers.get("validation_miou"),
        waiting_share=numbers.get("waiting_share"),
        images_per_second=numbers.get("images_per_second"),
        peak_memory_mib=numbers.get("peak_memory_mib"),
    )


def best_round(rounds: Sequence[Round]) -> Round | None:
    """The first of those with the highest validation mIoU; None if that was never looked at."""
    best: Round | None = None
    reached = -math.inf
    for each in rounds:
        if each.validation_miou is not None and each.validation_miou > reached:  # NaN is not
            best, reached = each, each.validation_miou
    return best
