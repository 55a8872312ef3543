"""Label maps that are arrays."""

import numpy as np
from numpy.typing import NDArray

from glnet.geometry import Size, Window


class ArrayMap:
    """Labels (height, width) that are read window by window."""

    def __init__(self, labels: NDArray[np.uint8], name: str = "array") -> None:
        self.labels, self.name = labels, name

    @property
    def size(self) -> Size:
        return Size(*self.labels.shape)

    def read(self, window: Window) -> NDArray[np.uint8]:
        rows = slice(window.row, window.row_stop)
        return self.labels[rows, window.column : window.column_stop]
