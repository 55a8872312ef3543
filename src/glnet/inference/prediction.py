"""What is known of a raster after the passes: windows of scores and labels, of any size."""

from abc import abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.closing import Closing
from glnet.geometry import Size, Window, blocks
from glnet.model.answers import Answer
from glnet.raster import LABEL_TILE

STRIP_BYTES = 1 << 24
"""What the labels of a strip may take, if it has more rows than `LEAST_STRIP`."""

LEAST_STRIP = 16
"""Rows."""

LEAST_WEIGHT = 1e-6
"""Patches' weights add up to less only where there is no measurement."""


class Prediction(Closing):
    """All that is known about one raster after the passes; gives windows of scores or labels.

    Close it, or use it in a ``with``, to give the scratch space back.

    Args:
        size: Of the raster.
    """

    def __init__(self, size: Size) -> None:
        self.size = size

    @abstractmethod
    def scores(self, answer: Answer, window: Window, device: torch.device) -> Tensor:
        """Per-class scores of a window: (K, rows, columns), float32.

        Weighted sums of logits over patches; of several ways to lay the raster, their mean. Of
        several regions, their weighted means are added up. What is no measurement has any.

        Raises:
            KeyError: If this answer was not asked for.
            ValueError: If the window is not inside the raster.
        """

    @abstractmethod
    def weight(self, answer: Answer, window: Window, device: torch.device) -> Tensor:
        """What `scores` are to be divided by for means: (rows, columns), 0 without a measurement.

        Raises:
            KeyError: If this answer was not asked for.
            ValueError: If the window is not inside the raster.
        """

    @abstractmethod
    def classes(self, answer: Answer) -> int:
        """How many classes have scores.

        Raises:
            KeyError: If this answer was not asked for.
        """

    @abstractmethod
    def is_measured(self, window: Window) -> bool:
        """Whether all pixels of a window are known to be measurements."""

    @abstractmethod
    def block_side(self) -> int:
        """The side of a square of pixels whose scores, and what makes them, take little room."""

    @property
    @abstractmethod
    def refined_patches(self) -> int:
        """How many patches entered the local branch; of several ways, the mean, rounded up."""

    @property
    def global_logits(self) -> Tensor | None:
        """The global branch's logits (K, h, w) for the first region as first laid, if asked for."""
        return None

    def best(self, answer: Answer, window: Window, device: torch.device) -> Tensor:
        """The best class of every pixel of a window, where it was computed: (rows, columns).

        Scores are there for one block at a time, however large the window is.
        """
        labels = torch.empty(
            window.size.height, window.size.width, dtype=torch.uint8, device=device
        )
        for block in blocks(window.size, self.block_side()):
            place = Window(window.row + block.row, window.column + block.column, block.size)
            labels[block.slices] = winners(self.scores(answer, place, device))
        return labels

    def labels(self, answer: Answer, window: Window, device: torch.device) -> NDArray[np.uint8]:
        """The best class of every pixel of a window: (rows, columns)."""
        labels: NDArray[np.uint8] = self.best(answer, window, device).cpu().numpy()
        return labels

    def strip_height(self) -> int:
        """How many rows of labels are made at once, see `strip_height`."""
        return strip_height(self.size)

    def _require_inside(self, window: Window) -> None:
        if not window.is_inside(self.size):
            raise ValueError(f"the window {window} lies outside a raster of {self.size}")


def strip_height(raster: Size) -> int:
    """Rows of labels in a full-width strip: as high as a tile, lower for a wide raster."""
    return max(LEAST_STRIP, min(LABEL_TILE, STRIP_BYTES // raster.width))


def winners(scores: Tensor) -> Tensor:
    """The class with the highest score, the first of several, uint8 (rows, columns).

    Class after class: argmax takes five times as long along a first axis on a CPU, and counts in
    eight bytes.

    Args:
        scores: (K, rows, columns); at most 255 classes.
    """
    best = scores[0].clone()
    labels = torch.zeros(best.shape, dtype=torch.uint8, device=scores.device)
    for number, score in enumerate(scores[1:], start=1):
        labels.masked_fill_(score > best, number)
        torch.maximum(best, score, out=best)
    return labels
