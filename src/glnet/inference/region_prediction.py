"""What the passes over a raster, or over its regions, have left."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from glnet.geometry import PatchGrid, Size, Window
from glnet.inference.blending import Blending, Weights, weights_of
from glnet.inference.prediction import LEAST_WEIGHT, Prediction
from glnet.inference.scratch import PatchScores
from glnet.inference.stitching import Stitcher, stretch
from glnet.inference.turns import turned
from glnet.model.answers import Answer
from glnet.model.resampling import Sampling
from glnet.raster import Turn

BLOCK_BYTES = 1 << 25
"""What the scores of a block may take on the device, if it is larger than `LEAST_BLOCK`."""

LEAST_BLOCK = 128
"""Pixels of a side: every patch that a block reaches is read for it."""


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


class RegionPrediction(Prediction):
    """A prediction that is made of regions; mostly of one, the raster.

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
        super().__init__(size)
        self._regions = regions
        self._grid = grid
        self._weights = weights_of(grid, blending)
        self._is_uniform = blending == "uniform"
        self._close = close

    def scores(self, answer: Answer, window: Window, device: torch.device) -> Tensor:
        """As `Prediction.scores`."""
        self._require_inside(window)
        if len(self._regions) == 1:
            return self._regions[0].scores(answer, window, device, mean=False)
        return self._blended(answer, window, device)

    def weight(self, answer: Answer, window: Window, device: torch.device) -> Tensor:
        """As `Prediction.weight`."""
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
            total[:, *inside] += scores.mul_(share)
            weight[inside] += share
        assert total is not None
        return total / weight if self._is_uniform else total

    def is_measured(self, window: Window) -> bool:
        """Whether all pixels of a window are known to be measurements."""
        for (row, column), shared in self._grid.reaching(window):
            region = self._regions[self._grid.number(row, column)]
            own = shared.moved(-region.place.row, -region.place.column)
            if not region.views[0].is_measured(own):
                return False
        return True

    def block_side(self) -> int:
        """The side of a square of pixels whose scores, and what makes them, fit `BLOCK_BYTES`."""
        views = self._regions[0].views
        classes = max((of.classes for of in views[0].scores.values()), default=1)
        # The sum and, of several views or regions, the next one's; two products and their sum in
        # `enlarge`.
        held = min(2, len(views)) + min(2, len(self._regions)) + 2
        return max(LEAST_BLOCK, math.isqrt(BLOCK_BYTES // (4 * held * classes)))

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

    def close(self) -> None:
        """Give the scratch space back."""
        self._close()
