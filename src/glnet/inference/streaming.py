"""The passes over one raster: thumbnail, patches, thumbnail again, strips.

Read top to bottom, `predict` is the paper's Figure 4 at work. The aggregated scores of a patch are
a local part, known when the patch is first seen, and a global part, which follows from the refined
branch's fused map alone. So patches are read and run once, and only a few class maps per patch
wait in the scratch file.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.errors import ConfigurationError
from glnet.inference.pixels import framed, normalized, read_patch, read_thumbnail
from glnet.inference.prediction import TURNS, Answer, Prediction, Turns, View, close_all
from glnet.inference.scratch import Scratch
from glnet.model.branch import BranchOutput
from glnet.model.checkpoint import Model
from glnet.model.exchange import Exchange, Merger, PatchIndex
from glnet.model.sharing import HearingConv2d
from glnet.raster import Raster, Turn, TurnedRaster

__all__ = ["Answer", "Precision", "Prediction", "Progress", "Settings", "answers_of", "predict"]

Progress = Callable[[str, int, int], None]
"""Told the phase, how many of its steps are done, and how many there are."""


Precision = Literal["float32", "bfloat16", "float16"]
"""In which numbers the network computes; sums over patches are float32 always."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a prediction runs; only ``turns`` changes the answer beyond rounding.

    Attributes:
        device: Such as ``cpu``, ``cuda`` or ``cuda:1``.
        precision: In which numbers the network computes.
        patch_batch: How many patches enter the network at once.
        scratch: Folder for the scratch file; the system's temporary one by default.
        turns: Test-time augmentation: in which ways the raster is laid (``flips`` and ``quarters``
            are 4 ways, ``all`` 8); the scores are averaged. Each way costs the time and the
            scratch space of a whole prediction.

    Raises:
        ConfigurationError: If the batch is under 1, or no ways have that name.
    """

    device: str = "cpu"
    precision: Precision = "float32"
    patch_batch: int = 4
    scratch: Path | None = None
    turns: Turns = "none"

    def __post_init__(self) -> None:
        if self.patch_batch < 1:
            raise ConfigurationError(f"patch batch must be at least 1, got {self.patch_batch}")
        if self.turns not in TURNS:
            raise ConfigurationError(f"turns must be one of {', '.join(TURNS)}, got {self.turns}")


def quiet(phase: str, done: int, total: int) -> None:
    """Progress that nobody sees."""


def answers_of(model: Model) -> tuple[Answer, ...]:
    """The answers a model can give; the last one is the model's own."""
    network = model.network
    parts = (
        (Answer.GLOBAL, network.context),
        (Answer.LOCAL, network.local),
        (Answer.AGGREGATED, network.aggregation),
    )
    return tuple(answer for answer, part in parts if part is not None)


def predict(
    model: Model,
    raster: Raster,
    settings: Settings,
    wanted: tuple[Answer, ...] = (),
    progress: Progress = quiet,
) -> Prediction:
    """Run the network over a raster, every patch once in every way to lay the raster.

    Args:
        model: In evaluation mode; moved to the device.
        raster: Of the model's band count, any size.
        settings: Where and how.
        wanted: Which answers are to be kept; the model's own by default.
        progress: Told after every batch of patches.

    Raises:
        InputMismatchError: If the raster has another number of bands than the model takes.
        RasterError: If pixels cannot be read.
        OutputError: If there is no room for the scratch file.
    """
    turns = TURNS[settings.turns]
    wanted = wanted or answers_of(model)[-1:]
    views: list[View] = []
    try:
        for number, turn in enumerate(turns, start=1):
            laid = raster if len(turns) == 1 else TurnedRaster(raster, turn)
            run = _Run(model, framed(laid, model), settings, wanted)
            views.append(_viewed(run, turn, _numbered(progress, number, len(turns))))
    except BaseException:
        close_all(views)
        raise
    return Prediction(raster.size, views)


def _viewed(run: "_Run", turn: Turn, progress: Progress) -> View:
    """Run all passes over a raster that is laid in one way."""
    settings = run.settings
    autocast = torch.autocast(
        torch.device(settings.device).type,
        dtype=getattr(torch, settings.precision),
        enabled=settings.precision != "float32",
    )
    try:
        with torch.inference_mode(), autocast:
            global_logits = run.passes(progress)
    except BaseException:
        run.close()
        raise
    return View(turn, run.grid, run.exchange.sampling, global_logits, run.kept)


def _numbered(progress: Progress, number: int, ways: int) -> Progress:
    """The same progress, which says which way is at hand where there are several."""
    if ways == 1:
        return progress
    return lambda phase, done, total: progress(f"{phase}, way {number} of {ways}", done, total)


class _Run:
    """What one prediction remembers while it runs."""

    def __init__(
        self, model: Model, raster: Raster, settings: Settings, wanted: tuple[Answer, ...]
    ) -> None:
        self.network = model.network.to(settings.device).eval()
        self.config = model.config
        self.raster = raster
        self.settings = settings
        self.grid = model.config.framing.grid(raster.size)
        self.exchange = Exchange(self.grid, model.config.framing.sampling)
        self.wanted = wanted
        self.kept: dict[Answer, Scratch] = {}
        self._places = self.grid.places

    def passes(self, progress: Progress) -> Tensor | None:
        """All passes; returns the global branch's logits (K, h, w), if there is that branch."""
        context, thumbnail = None, None
        if self.network.context is not None:
            thumbnail = self._pixels([read_thumbnail(self.raster, self.config.framing)])
            context = self.network.context(thumbnail)
        if set(self.wanted) <= {Answer.GLOBAL} and self.network.refined is None:
            return None if context is None else context.logits[0].float()
        merger = None
        if self.network.refined is not None and context is not None:
            merger = Merger(self.exchange, context.features)
        self._see_patches(context, merger, progress)
        if merger is not None and thumbnail is not None:
            refined = self.network.see_again(thumbnail, merger.merged(thumbnail.dtype))
            self._add_global_part(refined, progress)
            context = refined
        return None if context is None else context.logits[0].float()

    def _see_patches(
        self, context: BranchOutput | None, merger: Merger | None, progress: Progress
    ) -> None:
        features = None if context is None else context.features
        windows = list(self.grid)
        done = 0
        progress("patches", 0, len(windows))
        for indices in self._batches():
            pixels = self._pixels(
                [read_patch(self.raster, windows[k], self.config.framing) for k in indices]
            )
            patches = [self._places[k] for k in indices]
            output = self.network.see_patches(pixels, features, self.exchange, patches)
            if merger is not None:
                merger.add(output.features, patches)
            self._keep(Answer.LOCAL, indices, output.logits)
            if self.network.aggregation is not None and context is not None:
                scores = self._aggregate(self.network.aggregation, output, context, patches)
                self._keep(Answer.AGGREGATED, indices, scores)
            done += len(indices)
            progress("patches", done, len(windows))

    def _aggregate(
        self,
        aggregation: HearingConv2d,
        output: BranchOutput,
        context: BranchOutput,
        patches: list[PatchIndex],
    ) -> Tensor:
        """All aggregated logits, or only their local part where the global part is yet to come."""
        local_part = aggregation.own_part(output.fused)
        if self.network.refined is not None:
            return local_part
        heard = self.exchange.hear(context.fused, output.fused.shape, patches)
        return local_part + aggregation.heard_part(heard)

    def _add_global_part(self, refined: BranchOutput, progress: Progress) -> None:
        scratch = self.kept.get(Answer.AGGREGATED)
        if scratch is None or self.network.aggregation is None:
            return
        for indices in self._batches():
            patches = [self._places[k] for k in indices]
            heard = self.exchange.hear(refined.fused, scratch.frame, patches)
            for k, part in zip(indices, self.network.aggregation.heard_part(heard), strict=True):
                scratch.add(k, part)
            progress("global part", indices[-1] + 1, len(self.grid))

    def _keep(self, answer: Answer, indices: list[int], scores: Tensor) -> None:
        if answer not in self.wanted:
            return
        if answer not in self.kept:
            self.kept[answer] = Scratch(len(self.grid), scores.shape[1:], self.settings.scratch)
        for k, of in zip(indices, scores, strict=True):
            self.kept[answer].write(k, of)

    def _pixels(self, arrays: list[NDArray[np.generic]]) -> Tensor:
        pixels = normalized(np.stack(arrays), self.config.normalization)
        return pixels.to(self.settings.device)

    def _batches(self) -> Iterator[list[int]]:
        step = self.settings.patch_batch
        for first in range(0, len(self._places), step):
            yield list(range(first, min(first + step, len(self._places))))

    def close(self) -> None:
        for scratch in self.kept.values():
            scratch.close()
