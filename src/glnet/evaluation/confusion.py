"""A confusion matrix that grows strip by strip, on the device that computes the answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.data import IGNORE_INDEX

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of pixels, and what follows from them.

    Attributes:
        matrix: (K, K) by true class (rows) and answered class (columns).
        ignored: (K,) what pixels whose truth is ignored were answered as.
    """

    matrix: Numbers
    ignored: Numbers

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.matrix + other.matrix, self.ignored + other.ignored)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counts) and self.rows() == other.rows()

    def __hash__(self) -> int:
        return hash(tuple(map(tuple, self.rows())))

    @property
    def pixels(self) -> int:
        """How many pixels count: those whose truth is known."""
        return int(self.matrix.sum())

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of every class; NaN where neither side has the class."""
        hits = np.diag(self.matrix)
        return shares(hits, self.matrix.sum(0) + self.matrix.sum(1) - hits)

    @property
    def mean_iou(self) -> float:
        """The mean over the classes that occur; NaN if nothing was counted."""
        known = self.iou[~np.isnan(self.iou)]
        return float(known.mean()) if known.size else float("nan")

    @property
    def accuracy(self) -> float:
        """The share of pixels answered rightly; NaN if nothing was counted."""
        return float(np.diag(self.matrix).sum() / self.pixels) if self.pixels else float("nan")

    def rows(self) -> list[list[int]]:
        """Plain numbers: a row per true class, and a last one for ignored pixels."""
        return [*self.matrix.tolist(), self.ignored.tolist()]


class Confusion:
    """Adds up strips of answers and labels; holds (K + 1) * K numbers and nothing of a strip.

    Args:
        num_classes: How many classes there are.
        device: Where the counting is done, and where strips are brought if they lie elsewhere.
    """

    def __init__(self, num_classes: int, device: torch.device | str = "cpu") -> None:
        self._classes = num_classes
        self._pairs = torch.zeros((num_classes + 1) * num_classes, dtype=torch.int64, device=device)

    def add(self, answered: Tensor | NDArray[Any], labels: Tensor | NDArray[Any]) -> None:
        """Count pixels; labels of `IGNORE_INDEX` are counted apart.

        Args:
            answered: Whole numbers of any shape, a class each.
            labels: Of the same shape.

        Raises:
            ValueError: If the two differ in shape, or one of them holds what is no class.
        """
        if answered.shape != labels.shape:
            raise ValueError(
                f"answers {tuple(answered.shape)} and labels {tuple(labels.shape)} differ in shape"
            )
        answers, truth = self._brought(answered), self._brought(labels)
        is_ignored = truth == IGNORE_INDEX
        self._require_classes(answers)
        self._require_classes(truth.masked_fill(is_ignored, 0))
        truth = truth.masked_fill(is_ignored, self._classes)
        pairs = torch.bincount(truth * self._classes + answers, minlength=len(self._pairs))
        self._pairs += pairs

    @property
    def counts(self) -> Numbers:
        """The matrix (K, K) by true and answered class, without ignored pixels."""
        return self.result().matrix

    def join(self, summed: Callable[[Tensor], Tensor]) -> None:
        """Add what other processes have counted, given how tensors are added up over them."""
        self._pairs = summed(self._pairs)

    @property
    def mean_iou(self) -> float:
        """The mean over the classes that occur; NaN if nothing was counted."""
        return self.result().mean_iou

    def result(self) -> Counts:
        """What was counted so far."""
        rows: Numbers = self._pairs.cpu().numpy().reshape(-1, self._classes).copy()
        return Counts(rows[:-1], rows[-1])

    def _brought(self, maps: Tensor | NDArray[Any]) -> Tensor:
        """On our device, in numbers that hold every pair of classes in half of what int64 takes."""
        tensor = maps if isinstance(maps, Tensor) else torch.from_numpy(np.ascontiguousarray(maps))
        return tensor.to(self._pairs.device).reshape(-1).to(torch.int32)

    def _require_classes(self, maps: Tensor) -> None:
        if maps.numel() and not 0 <= int(maps.min()) <= int(maps.max()) < self._classes:
            raise ValueError(
                f"expected classes from 0 to {self._classes - 1}, "
                f"got values from {int(maps.min())} to {int(maps.max())}"
            )


def shares(part: Numbers, whole: Numbers) -> NDArray[np.float64]:
    """Elementwise part / whole; NaN where the whole is 0."""
    quotient = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=quotient, where=whole > 0)
    return quotient
