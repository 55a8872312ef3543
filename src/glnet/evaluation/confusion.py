"""A confusion matrix that grows strip by strip."""

import numpy as np
from numpy.typing import NDArray

from glnet.data import IGNORE_INDEX


class Confusion:
    """Counts of pixels by true class (rows) and answered class (columns).

    Args:
        num_classes: How many classes there are.
    """

    def __init__(self, num_classes: int) -> None:
        self.counts = np.zeros((num_classes, num_classes), dtype=np.int64)

    def add(self, answered: NDArray[np.integer], labels: NDArray[np.integer]) -> None:
        """Count pixels; labels of `IGNORE_INDEX` do not count.

        Raises:
            ValueError: If the two differ in shape.
        """
        if answered.shape != labels.shape:
            raise ValueError(f"answers {answered.shape} and labels {labels.shape} differ in shape")
        classes = len(self.counts)
        counted = labels != IGNORE_INDEX
        pairs = labels[counted].astype(np.int64) * classes + answered[counted]
        self.counts += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of every class; NaN where neither side has the class."""
        hits = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(0) + self.counts.sum(1) - hits
        iou = np.full_like(hits, np.nan)
        np.divide(hits, union, out=iou, where=union > 0)
        return iou

    @property
    def mean_iou(self) -> float:
        """The mean over the classes that occur; NaN if nothing was counted."""
        known = self.iou[~np.isnan(self.iou)]
        return float(known.mean()) if known.size else float("nan")

    @property
    def accuracy(self) -> float:
        """The share of pixels answered rightly; NaN if nothing was counted."""
        total = self.counts.sum()
        return float(np.diag(self.counts).sum() / total) if total else float("nan")
