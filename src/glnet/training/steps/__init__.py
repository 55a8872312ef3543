"""The stages' steps: which branch learns, on what it sees, towards which loss.

A stage is named after the branch that trains. Frozen branches run without graphs; the context of
an image is computed once per image. What is differentiated at once is one portion: gradients add
up portion by portion, so that memory is that of a portion, and equal those of the whole image.
"""

from glnet.training.steps.context import ContextStep
from glnet.training.steps.local import LocalStep
from glnet.training.steps.refined import RefinedStep
from glnet.training.steps.step import Backward, Losses, Objective, Seen, Step

__all__ = [
    "ContextStep",
    "LocalStep",
    "RefinedStep",
    "Step",
    "Objective",
    "Seen",
    "Losses",
    "Backward",
]
