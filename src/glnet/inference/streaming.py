"""The passes over one raster: thumbnail, patches, thumbnail again, strips.

Read top to bottom, `predict` is the paper's Figure 4 at work. The aggregated scores of a patch are
a local part, known when the patch is first seen, and a global part, which follows from the refined
branch's fused map alone. So patches are read and run once, and only a few class maps per patch
wait in the scratch file.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.errors import ConfigurationError
from glnet.geometry import PatchGrid, Size, Window
from glnet.inference.pixels import framed, normalized, read_patch, read_thumbnail
from glnet.inference.scratch import Scratch
from glnet.inference.stitching import stitch, stretch
from glnet.model.branch import BranchOutput
from glnet.model.checkpoint import Model
from glnet.model.exchange import Exchange, Merger, PatchIndex
from glnet.model.sharing import HearingConv2d
from glnet.raster import Raster

Progress = Callable[[str, int, int], None]
"""Told the phase, how many of its steps are done, and how many there are."""


class Answer(StrEnum):
    """Whose answer: the paper's global, local and aggregated segmentation (section 3.2.3)."""

    GLOBAL = "global"
    LOCAL = "local"
    AGGREGATED = "aggregated"


Precision = Literal["float32", "bfloat16", "float16"]
"""In which numbers the network computes; sums over patches are float32 always."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a prediction runs; none of these changes the answer beyond rounding.

    Attributes:
        device: Such as ``cpu``, ``cuda`` or ``cuda:1``.
        precision: In which numbers the network computes.
        patch_batch: How many patches enter the network at once.
        scratch: Folder for the scratch file; the system's temporary one by default.

    Raises:
        ConfigurationError: If the batch is under 1.
    """

    device: str = "cpu"
    precision: Precision = "float32"
    patch_batch: int = 4
    scratch: Path | None = None

    def __post_init__(self) -> None:
        if self.patch_batch < 1:
            raise ConfigurationError(f"patch batch must be at least 1, got {self.patch_batch}")


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


class Prediction:
    """All that is known about one raster after the passes; gives strips of scores or labels.

    Close it, or use it in a ``with``, to give the scratch space back.
    """

    def __init__(
        self,
        size: Size,
        exchange: Exchange,
        grid: PatchGrid,
        global_logits: Tensor | None,
        patch_scores: Mapping[Answer, Scratch],
    ) -> None:
        self.size = size
        self._sampling = exchange.sampling
        self._grid = grid
        self.global_logits = global_logits
        self._patch_scores = patch_scores

    def scores(self, answer: Answer, strip: Window, device: torch.device) -> Tensor:
        """Per-class scores of a strip: (K, rows, columns), float32; sums of logits over patches.

        Raises:
            KeyError: If this answer was not asked for.
            ValueError: If the strip does not have the raster's full width.
        """
        if (strip.column, strip.size.width) != (0, self.size.width):
            raise ValueError(f"a strip is {self.size.width} pixels wide from column 0, got {strip}")
        if answer is Answer.GLOBAL and self.global_logits is not None:
            return stretch(self.global_logits, self._grid, strip, self._sampling, device)
        return stitch(self._patch_scores[answer], self._grid, strip, self._sampling, device)

    def labels(self, answer: Answer, strip: Window, device: torch.device) -> NDArray[np.uint8]:
        """The best class of every pixel of a strip: (rows, columns)."""
        best = self.scores(answer, strip, device).argmax(dim=0)
        labels: NDArray[np.uint8] = best.to(torch.uint8).cpu().numpy()
        return labels

    def strip_height(self, memory_bytes: int = 2**26) -> int:
        """How many rows of scores fit a given memory; at least 16."""
        classes = max((scratch.classes for scratch in self._patch_scores.values()), default=1)
        if self.global_logits is not None:
            classes = max(classes, self.global_logits.shape[0])
        return max(16, memory_bytes // (4 * classes * self.size.width))

    def close(self) -> None:
        """Give the scratch space back."""
        for scratch in self._patch_scores.values():
            scratch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def predict(
    model: Model,
    raster: Raster,
    settings: Settings,
    wanted: tuple[Answer, ...] = (),
    progress: Progress = quiet,
) -> Prediction:
    """Run the network over a raster, every patch once.

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
    run = _Run(model, framed(raster, model), settings, wanted or answers_of(model)[-1:])
    device = torch.device(settings.device)
    autocast = torch.autocast(
        device.type,
        dtype=getattr(torch, settings.precision),
        enabled=settings.precision != "float32",
    )
    try:
        with torch.inference_mode(), autocast:
            global_logits = run.passes(progress)
    except BaseException:
        run.close()
        raise
    return Prediction(raster.size, run.exchange, run.grid, global_logits, run.kept)


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
