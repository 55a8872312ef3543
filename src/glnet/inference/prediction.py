"""What is known of a raster after the passes: windows of scores and labels, of any size."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.geometry import PatchGrid, Size, Window, blocks
from glnet.inference.scratch import PatchScores
from glnet.inference.stitching import stitch, stretch
from glnet.model.answers import Answer
from glnet.model.resampling import Sampling
from glnet.raster import LABEL_TILE, UPRIGHT, Turn

STRIP_BYTES = 1 << 24
"""What the labels of a strip may take, if it has more rows than `LEAST_STRIP`."""

LEAST_STRIP = 16
"""Rows."""

BLOCK_BYTES = 1 << 25
"""What the scores of a block may take on the device, if it is larger than `LEAST_BLOCK`."""

LEAST_BLOCK = 128
"""Pixels of a side: every patch that a block reaches is read for it."""

Turns = Literal["none", "flips", "quarters", "all"]
"""In which ways a raster is laid before the network sees it; the scores are averaged."""

TURNS: Mapping[Turns, tuple[Turn, ...]] = {
    "none": (UPRIGHT,),
    "flips": (UPRIGHT, Turn(0, mirrored=True), Turn(2), Turn(2, mirrored=True)),
    "quarters": tuple(Turn(quarters) for quarters in range(4)),
    "all": tuple(Turn(quarters, mirrored) for mirrored in (False, True) for quarters in range(4)),
}
"""Each is a group: what turns the raster by one of them only changes their order."""


@dataclass(frozen=True, eq=False)
class View:
    """What the passes over the raster, laid in one way, have left.

    Attributes:
        turn: How the raster was laid.
        grid: Its patches, in the turned raster's pixels.
        sampling: How maps become windows.
        global_logits: (K, h, w), if there is that branch.
        patch_scores: Of every other answer that was asked for.
    """

    turn: Turn
    grid: PatchGrid
    sampling: Sampling
    global_logits: Tensor | None
    patch_scores: Mapping[Answer, PatchScores]

    def scores(self, answer: Answer, window: Window, size: Size, device: torch.device) -> Tensor:
        """Scores of a window of the raster as it lies, which has this size: (K, rows, columns).

        Raises:
            KeyError: If this answer was not asked for.
        """
        # Seen from the turned raster, the raster as it lies is the one that is turned (back).
        place = self.turn.back.source(window, self.turn.size(size))
        if answer is Answer.GLOBAL and self.global_logits is not None:
            scores = stretch(self.global_logits, self.grid, place, self.sampling, device)
        else:
            scores = stitch(self.patch_scores[answer], self.grid, place, self.sampling, device)
        return turned(scores, self.turn.back)


class Prediction:
    """All that is known about one raster after the passes; gives windows of scores or labels.

    Close it, or use it in a ``with``, to give the scratch space back.

    Args:
        size: Of the raster.
        views: One per way in which the raster was laid; at least one.
    """

    def __init__(self, size: Size, views: Sequence[View]) -> None:
        self.size = size
        self._views = views

    @property
    def global_logits(self) -> Tensor | None:
        """The global branch's logits (K, h, w) for the raster as first laid, if there are any."""
        return self._views[0].global_logits

    def scores(self, answer: Answer, window: Window, device: torch.device) -> Tensor:
        """Per-class scores of a window: (K, rows, columns), float32.

        Sums of logits over patches; of several ways to lay the raster, their mean.

        Raises:
            KeyError: If this answer was not asked for.
            ValueError: If the window is not inside the raster.
        """
        if not window.is_inside(self.size):
            raise ValueError(f"the window {window} lies outside a raster of {self.size}")
        total = self._views[0].scores(answer, window, self.size, device)
        for view in self._views[1:]:
            total += view.scores(answer, window, self.size, device)
        return total / len(self._views) if len(self._views) > 1 else total

    def best(self, answer: Answer, window: Window, device: torch.device) -> Tensor:
        """The best class of every pixel of a window, where it was computed: (rows, columns).

        Scores are there for one block at a time, however large the window is.
        """
        labels = torch.empty(
            window.size.height, window.size.width, dtype=torch.uint8, device=device
        )
        for block in blocks(window.size, self.block_side()):
            place = Window(window.row + block.row, window.column + block.column, block.size)
            labels[block.slices] = self.scores(answer, place, device).argmax(dim=0)
        return labels

    def labels(self, answer: Answer, window: Window, device: torch.device) -> NDArray[np.uint8]:
        """The best class of every pixel of a window: (rows, columns)."""
        labels: NDArray[np.uint8] = self.best(answer, window, device).cpu().numpy()
        return labels

    def strip_height(self) -> int:
        """How many rows of labels are made at once, see `strip_height`."""
        return strip_height(self.size)

    def block_side(self) -> int:
        """The side of a square of pixels whose scores, and what makes them, fit `BLOCK_BYTES`."""
        view = self._views[0]
        classes = max((scratch.classes for scratch in view.patch_scores.values()), default=1)
        if view.global_logits is not None:
            classes = max(classes, view.global_logits.shape[0])
        # The sum and, of several views, the next one's; two products and their sum in `enlarge`.
        held = min(2, len(self._views)) + 3
        return max(LEAST_BLOCK, math.isqrt(BLOCK_BYTES // (4 * held * classes)))

    def close(self) -> None:
        """Give the scratch space back."""
        close_all(self._views)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def strip_height(raster: Size) -> int:
    """Rows of labels in a full-width strip: as high as a tile, lower for a wide raster."""
    return max(LEAST_STRIP, min(LABEL_TILE, STRIP_BYTES // raster.width))


def close_all(views: Sequence[View]) -> None:
    """Give the scratch space of views back."""
    for view in views:
        for scratch in view.patch_scores.values():
            scratch.close()


def turned(maps: Tensor, turn: Turn) -> Tensor:
    """`Turn.apply` for tensors: the last two axes."""
    maps = torch.rot90(maps, turn.quarters, dims=(-2, -1))
    return maps.flip(-1) if turn.mirrored else maps
