"""What is written of a window: labels, how sure they are, and where there is nothing to label."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from glnet.data.classes import IGNORE_INDEX
from glnet.geometry import Window, blocks
from glnet.inference.prediction import LEAST_WEIGHT, Prediction, winners
from glnet.model.answers import Answer
from glnet.raster import Raster, encode_scores
from glnet.raster.writing.scores import SCORE_NODATA

NODATA_LABEL = IGNORE_INDEX
"""The label of pixels that are no measurements; no class has it."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Wanted:
    """What is asked for beside labels.

    Attributes:
        confidence: The probability of the winning class.
        probabilities: Those of all classes.
    """

    confidence: bool = False
    probabilities: bool = False


@dataclass(frozen=True, eq=False)
class Answered:
    """A window of results.

    Attributes:
        window: Where it lies in the raster.
        labels: (rows, columns); `NODATA_LABEL` where there is no measurement.
        confidence: (1, rows, columns), as `encode_scores` gives it, if it was asked for.
        probabilities: (K, rows, columns), likewise, if they were asked for.
    """

    window: Window
    labels: Bytes
    confidence: Bytes | None = None
    probabilities: Bytes | None = None


class Answerer:
    """Answers window by window.

    Args:
        prediction: What is known after the passes.
        raster: Where pixels may be no measurements, this is read again.
        answer: Which of the model's.
        wanted: What is asked for beside labels.
        device: Where scores are computed.
    """

    def __init__(
        self,
        prediction: Prediction,
        raster: Raster,
        answer: Answer,
        wanted: Wanted,
        device: torch.device,
    ) -> None:
        self._prediction = prediction
        self._raster = raster
        self._answer = answer
        self._wanted = wanted
        self._device = device

    def answered(self, window: Window) -> Answered:
        """The results of a window; scores are there for one block at a time.

        Raises:
            RasterError: If the raster must be read and cannot be.
        """
        valid = None
        if not self._prediction.is_measured(window):
            valid = self._raster.read_masked(window).valid
        found = self._empty(window)
        for block in blocks(window.size, self._prediction.block_side()):
            if valid is None or valid[block.slices].any():
                self._fill(found, block)
        if valid is not None:
            found.labels[~valid] = NODATA_LABEL
            for steps in (found.confidence, found.probabilities):
                if steps is not None:
                    steps[:, ~valid] = SCORE_NODATA
        return found

    def _empty(self, window: Window) -> Answered:
        size = window.size

        def made(bands: int) -> Bytes:
            return np.zeros((bands, size.height, size.width), np.uint8)

        return Answered(
            window,
            made(1)[0],
            made(1) if self._wanted.confidence else None,
            made(self._prediction.classes(self._answer)) if self._wanted.probabilities else None,
        )

    def _fill(self, found: Answered, block: Window) -> None:
        place = block.moved(found.window.row, found.window.column)
        scores = self._prediction.scores(self._answer, place, self._device)
        found.labels[block.slices] = winners(scores).cpu().numpy()
        if found.confidence is None and found.probabilities is None:
            return
        weight = self._prediction.weight(self._answer, place, self._device)
        probabilities = (scores / weight.clamp_min(LEAST_WEIGHT)).softmax(dim=0)
        if found.confidence is not None:
            winner = probabilities.amax(dim=0, keepdim=True)
            found.confidence[:, *block.slices] = encode_scores(winner.cpu().numpy())
        if found.probabilities is not None:
            found.probabilities[:, *block.slices] = encode_scores(probabilities.cpu().numpy())
