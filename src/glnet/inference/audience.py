"""Who looks on while an image is segmented."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from glnet.data.classes import ClassInfo
from glnet.geometry import PatchGrid, Size, Window


class Audience(Protocol):
    """Is shown what is written; changes nothing of it."""

    @property
    def host_bytes(self) -> int:
        """Host memory that looking on takes of this process."""
        ...

    def opens(
        self,
        size: Size,
        classes: tuple[ClassInfo, ...],
        grids: Sequence[tuple[Window, PatchGrid]],
    ) -> None:
        """An image of this size is going to be labelled, in these patches."""
        ...

    def sees(self, window: Window, labels: NDArray[np.uint8]) -> None:
        """These labels (rows, columns) were written; a window has the edges of tiles."""
        ...
