"""What is known of a raster of which only some boxes were refined (section 3.3)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from glnet.geometry import PatchGrid, Size, Window
from glnet.inference.prediction import Prediction
from glnet.inference.stitching import stretch
from glnet.model.answers import Answer
from glnet.model.resampling import Sampling

BACKGROUND = 0
"""The class of all that lies outside the boxes."""

FREE_SIDE = 1024
"""Of the squares in which labels are made where there is no box."""


class RefinedBox(NamedTuple):
    """A box, and all that is known of it as a raster of its own."""

    place: Window
    prediction: Prediction


class CoarseLogits(NamedTuple):
    """The coarse branch's answer: logits (K, h, w), which are brought to a raster of a grid."""

    logits: Tensor
    grid: PatchGrid
    sampling: Sampling

    def scores(self, window: Window, device: torch.device) -> Tensor:
        """Scores of a window, of which none is above that of the background."""
        scores = self.own_scores(window, device)
        return torch.minimum(scores, scores[BACKGROUND])

    def own_scores(self, window: Window, device: torch.device) -> Tensor:
        """Scores of a window as the branch has them: (K, rows, columns)."""
        logits = self.logits.to(device)
        return stretch(logits, self.grid, window, self.sampling, device)


class BoxPrediction(Prediction):
    """Boxes are refined; all else is background, as sure as the coarse branch was of it.

    Args:
        size: Of the raster.
        boxes: Without overlaps.
        coarse: What the coarse branch says.
        has_holes: Whether some pixels outside the boxes may be no measurements.
    """

    def __init__(
        self, size: Size, boxes: Sequence[RefinedBox], coarse: CoarseLogits, *, has_holes: bool
    ) -> None:
        super().__init__(size)
        self._boxes = boxes
        self._coarse = coarse
        self._has_holes = has_holes

    def scores(self, answer: Answer, window: Window, device: torch.device) -> Tensor:
        """As `Prediction.scores`; the coarse branch's are those of the whole raster."""
        self._require_inside(window)
        if answer is Answer.COARSE:
            return self._coarse.own_scores(window, device)
        if (whole := self._holding(window)) is not None:
            return whole.prediction.scores(answer, _within(whole, window), device)
        scores = self._coarse.scores(window, device)
        for box, shared in self._reached(window):
            inside = shared.moved(-window.row, -window.column).slices
            scores[:, *inside] = box.prediction.scores(answer, _within(box, shared), device)
        return scores

    def weight(self, answer: Answer, window: Window, device: torch.device) -> Tensor:
        """As `Prediction.weight`."""
        self._require_inside(window)
        weight = torch.ones(window.size.height, window.size.width, device=device)
        if answer is Answer.COARSE:
            return weight
        for box, shared in self._reached(window):
            inside = shared.moved(-window.row, -window.column).slices
            weight[inside] = box.prediction.weight(answer, _within(box, shared), device)
        return weight

    def classes(self, answer: Answer) -> int:
        """How many classes have scores."""
        del answer  # All have as many.
        return len(self._coarse.logits)

    def is_measured(self, window: Window) -> bool:
        """Whether all pixels of a window are known to be measurements."""
        if not self._has_holes:
            return True
        whole = self._holding(window)
        return whole is not None and whole.prediction.is_measured(_within(whole, window))

    def block_side(self) -> int:
        """The least of all boxes'."""
        return min((of.prediction.block_side() for of in self._boxes), default=FREE_SIDE)

    @property
    def refined_patches(self) -> int:
        """How many patches of all boxes entered the local branch."""
        return sum(of.prediction.refined_patches for of in self._boxes)

    def close(self) -> None:
        """Give the scratch space back."""
        for box in self._boxes:
            box.prediction.close()

    def _holding(self, window: Window) -> RefinedBox | None:
        """The box that holds all of a window, if there is one."""
        return next((box for box, shared in self._reached(window) if shared == window), None)

    def _reached(self, window: Window) -> list[tuple[RefinedBox, Window]]:
        """The boxes that a window reaches, with what they share with it."""
        shared = ((box, box.place.shared(window)) for box in self._boxes)
        return [(box, of) for box, of in shared if of is not None]


def _within(box: RefinedBox, window: Window) -> Window:
    """A window of the raster in the box's own pixels."""
    return window.moved(-box.place.row, -box.place.column)
