"""What is known of a raster after the passes: windows of scores and labels, of any size."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.geometry import PatchGrid, Size, Window, blocks
from glnet.inference.blending import Blending, Weights, weights_of
from glnet.inference.scratch import PatchScores
from glnet.inference.stitching import Stitcher, stretch
from glnet.model.answers import Answer
from glnet.model.resampling import Sampling
from glnet.raster import LABEL_TILE, UPRIGHT, Turn

STRIP_BYTES = 1 << 24
"""What the labels of a strip may take, if it has more rows than `LEAST_STRIP`."""

LEAST_STRIP = 16
"""Rows."""

BLOCK_BYTES = 1 << 25
"""What the scores of a block may take on the device, if it is larger than `LEAST_BLOCK`."""

LEAST_WEIGHT = 1e-6
"""Patches' weights add up to less only where there is no measurement."""

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
    """What the passes over a raster, laid in one way, have left.

    Attributes:
        turn: How the raster was laid.
        laid: The raster's size then.
        grid: Its patches; its raster is larger where a side was too small for a backbone.
        sampling: How maps become windows.
        weights: How patches are blended.
        scores: Of every answer that was asked for; of the global branch's, one for the thumbnail.
        skipped: Patches that have none, since they hold no measurement.
        holed: Patches of which some pixels are, or may be, no measurements.
        refined: How many patches entered the local branch.
    """

    turn: Turn
    laid: Size
    grid: PatchGrid
    sampling: Sampling
    weights: Weights
    scores: Mapping[Answer, PatchScores]
    skipped: frozenset[int] = frozenset()
    holed: frozenset[int] = frozenset()
    refined: int = 0

    @cached_property
    def _stitcher(self) -> Stitcher:
        return Stitcher(self.grid, self.sampling, self.weights, self.skipped)

    def sums(self, answer: Answer, window: Window, device: torch.device) -> Tensor:
        """Weighted sums of scores over a window of the raster as it lies: (K, rows, columns).

        Raises:
            KeyError: If this answer was not asked for.
        """
        place, scratch = self._place(window), self.scores[answer]
        if answer is Answer.GLOBAL:
            logits = scratch.read(0, device)
            sums = stretch(logits, self.grid, place, self.sampling, device)
        else:
            sums = self._stitcher.stitch(scratch, place, device)
        return turned(sums, self.turn.back)

    def weight(self, answer: Answer, window: Window, device: torch.device) -> Tensor:
        """The sums of the weights: (rows, columns)."""
        if answer is Answer.GLOBAL:
            return torch.ones(window.size.height, window.size.width, device=device)
        return turned(self._stitcher.weight(self._place(window), device), self.turn.back)

    def is_measured(self, window: Window) -> bool:
        """Whether all pixels of a window are known to be measurements."""
        if not self.skipped and not self.holed:
            return True
        numbers = (self.grid.number(*at) for at, _ in self.grid.reaching(self._place(window)))
        return not any(of in self.skipped or of in self.holed for of in numbers)

    def _place(self, window: Window) -> Window:
        # Seen from the turned raster, the raster as it lies is the one that is turned (back).
        return self.turn.back.source(window, self.laid)


@dataclass(frozen=True, eq=False)
class Region:
    """A part of the raster that was a whole raster to the network.

    Attributes:
        place: Where it lies.
        views: One per way in which it was laid; at least one.
    """

    place: Window
    views: Sequence[View]

    def scores(self, answer: Answer, window: Window, device: torch.device, *, mean: bool) -> Tensor:
        """Scores of a window of the raster, inside the place: (K, rows, columns), float32.

        Args:
            answer: Which.
            window: In the raster's pixels.
            device: Where.
            mean: Whether they are divided by the sum of the patches' weights.
        """
        own = window.moved(-self.place.row, -self.place.column)
        total: Tensor | None = None
        for view in self.views:
            scores = view.sums(answer, own, device)
            if mean:
                scores /= view.weight(answer, own, device).clamp_min(LEAST_WEIGHT)
            total = scores if total is None else total.add_(scores)
        assert total is not None
        return total / len(self.views) if len(self.views) > 1 else total

    def weight(self, answer: Answer, window: Window, device: torch.device) -> Tensor:
        """The sum of the patches' weights, the mean over views: (rows, columns)."""
        own = window.moved(-self.place.row, -self.place.column)
        total = torch.stack([view.weight(answer, own, device) for view in self.views])
        return total.mean(dim=0)


class Prediction:
    """All that is known about one raster after the passes; gives windows of scores or labels.

    Close it, or use it in a ``with``, to give the scratch space back.

    Args:
        size: Of the raster.
        regions: The parts that were rasters to the network, in the grid's order.
        grid: Where they lie.
        blending: How they are blended where they overlap.
        close: Gives the scratch space back.
    """

    def __init__(
        self,
        size: Size,
        regions: Sequence[Region],
        grid: PatchGrid,
        blending: Blending = "feathered",
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.size = size
        self._regions = regions
        self._grid = grid
        self._weights = weights_of(grid, blending)
        self._is_uniform = blending == "uniform"
        self._close = close

    def scores(self, answer: Answer, window: Window, device: torch.device) -> Tensor:
        """Per-class scores of a window: (K, rows, columns), float32.

        Weighted sums of logits over patches; of several ways to lay the raster, their mean. Of
        several regions, their weighted means are added up. What is no measurement has any.

        Raises:
            KeyError: If this answer was not asked for.
            ValueError: If the window is not inside the raster.
        """
        self._require_inside(window)
        if len(self._regions) == 1:
            return self._regions[0].scores(answer, window, device, mean=False)
        return self._blended(answer, window, device)

    def weight(self, answer: Answer, window: Window, device: torch.device) -> Tensor:
        """What `scores` are to be divided by for means: (rows, columns), 0 without a measurement.

        Raises:
            KeyError: If this answer was not asked for.
            ValueError: If the window is not inside the raster.
        """
        self._require_inside(window)
        if len(self._regions) == 1:
            return self._regions[0].weight(answer, window, device)
        return torch.ones(window.size.height, window.size.width, device=device)

    def classes(self, answer: Answer) -> int:
        """How many classes have scores.

        Raises:
            KeyError: If this answer was not asked for.
        """
        return self._regions[0].views[0].scores[answer].classes

    def _blended(self, answer: Answer, window: Window, device: torch.device) -> Tensor:
        """Means of regions that reach the window; only one region's scores are there at a time."""
        total: Tensor | None = None
        weight = torch.zeros(window.size.height, window.size.width, device=device)
        for (row, column), shared in self._grid.reaching(window):
            region = self._regions[self._grid.number(row, column)]
            own = shared.moved(-region.place.row, -region.place.column)
            rows = torch.from_numpy(self._weights.rows[row, own.row : own.row_stop]).to(device)
            columns = torch.from_numpy(
                self._weights.columns[column, own.column : own.column_stop]
            ).to(device)
            scores = region.scores(answer, shared, device, mean=True)
            if total is None:
                total = torch.zeros(len(scores), *weight.shape, device=device)
            inside = shared.moved(-window.row, -window.column).slices
            share = torch.outer(rows, columns)
            total[:, *inside] += scores * share
            weight[inside] += share
        assert total is not None
        return total / weight if self._is_uniform else total

    @property
    def refined_patches(self) -> int:
        """How many patches entered the local branch; of several ways, the mean, rounded up."""
        views = [view for region in self._regions for view in region.views]
        return -(-sum(view.refined for view in views) // len(self._regions[0].views))

    @property
    def global_logits(self) -> Tensor | None:
        """The global branch's logits (K, h, w) for the first region as first laid, if asked for."""
        kept = self._regions[0].views[0].scores.get(Answer.GLOBAL)
        return None if kept is None else kept.read(0, torch.device("cpu"))

    def _require_inside(self, window: Window) -> None:
        if not window.is_inside(self.size):
            raise ValueError(f"the window {window} lies outside a raster of {self.size}")

    def is_measured(self, window: Window) -> bool:
        """Whether all pixels of a window are known to be measurements."""
        for (row, column), shared in self._grid.reaching(window):
            region = self._regions[self._grid.number(row, column)]
            own = shared.moved(-region.place.row, -region.place.column)
            if not region.views[0].is_measured(own):
                return False
        return True

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
        views = self._regions[0].views
        classes = max((of.classes for of in views[0].scores.values()), default=1)
        # The sum and, of several views or regions, the next one's; two products and their sum in
        # `enlarge`.
        held = min(2, len(views)) + min(2, len(self._regions)) + 2
        return max(LEAST_BLOCK, math.isqrt(BLOCK_BYTES // (4 * held * classes)))

    def close(self) -> None:
        """Give the scratch space back."""
        self._close()

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


def turned(maps: Tensor, turn: Turn) -> Tensor:
    """`Turn.apply` for tensors: the last two axes."""
    maps = torch.rot90(maps, turn.quarters, dims=(-2, -1))
    return maps.flip(-1) if turn.mirrored else maps
