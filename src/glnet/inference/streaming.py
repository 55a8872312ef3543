"""The passes over one raster: thumbnail, patches, thumbnail again, strips.

Read top to bottom, `predict` is the paper's Figure 4 at work. The aggregated scores of a patch are
a local part, known when the patch is first seen, and a global part, which follows from the refined
branch's fused map alone. So patches are read and run once, and only a few class maps per patch
wait in the scratch file.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.inference.forming import dtype_of, form_of
from glnet.inference.machine import resolved
from glnet.inference.pixels import framed, normalized, read_patch, read_thumbnail
from glnet.inference.prediction import TURNS, Prediction, View, close_all
from glnet.inference.scratch import Scratch
from glnet.inference.settings import Precision, Progress, Settings, quiet
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model
from glnet.model.exchange import Exchange, Merger
from glnet.model.forms import Form, WholeOutput
from glnet.model.forms import answers_of as network_answers
from glnet.raster import Raster, Turn, TurnedRaster

__all__ = ["Answer", "Precision", "Prediction", "Progress", "Settings", "answers_of", "predict"]


def answers_of(model: Model) -> tuple[Answer, ...]:
    """The answers a model can give; the last one is the model's own."""
    return network_answers(model.network)


def predict(
    model: Model,
    raster: Raster,
    settings: Settings,
    wanted: tuple[Answer, ...] = (),
    progress: Progress = quiet,
    form: Form | None = None,
) -> Prediction:
    """Run the network over a raster, every patch once in every way to lay the raster.

    Args:
        model: Not changed.
        raster: Of the model's band count, any size.
        settings: Where and how.
        wanted: Which answers are to be kept; the model's own by default.
        progress: Told after every batch of patches.
        form: How the network is computed, as `form_of` makes it once for many rasters.

    Raises:
        ConfigurationError: If there is no such device or precision.
        InputMismatchError: If the raster has another number of bands than the model takes.
        RasterError: If pixels cannot be read.
        OutputError: If there is no room for the scratch file.
    """
    settings, turns = resolved(settings), TURNS[settings.turns]
    form = form or form_of(model, settings).form
    wanted = wanted or answers_of(model)[-1:]
    views: list[View] = []
    try:
        for number, turn in enumerate(turns, start=1):
            laid = raster if len(turns) == 1 else TurnedRaster(raster, turn)
            run = _Run(model, form, framed(laid, model), settings, wanted)
            views.append(_viewed(run, turn, _numbered(progress, number, len(turns))))
    except BaseException:
        close_all(views)
        raise
    return Prediction(raster.size, views)


def _viewed(run: "_Run", turn: Turn, progress: Progress) -> View:
    """Run all passes over a raster that is laid in one way."""
    try:
        with torch.inference_mode():
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
        self,
        model: Model,
        form: Form,
        raster: Raster,
        settings: Settings,
        wanted: tuple[Answer, ...],
    ) -> None:
        self.form = form
        self.has = frozenset(form.answers)
        self.config = model.config
        self.raster = raster
        self.settings = settings
        self.grid = model.config.framing.grid(raster.size)
        self.exchange = Exchange(self.grid, model.config.framing.sampling)
        self.wanted = wanted
        self.kept: dict[Answer, Scratch] = {}
        self._places = self.grid.places

    def passes(self, progress: Progress) -> Tensor | None:
        """All passes; returns the global branch's logits (K, h, w), if they are wanted."""
        whole, thumbnail = None, None
        if Answer.GLOBAL in self.has:
            thumbnail = self._pixels([read_thumbnail(self.raster, self.config.framing)])
            whole = self.form.see_whole(thumbnail, self.wanted)
        if set(self.wanted) <= {Answer.GLOBAL} and not self.form.hears_patches:
            return _logits(whole)
        merger = None
        if self.form.hears_patches and whole is not None:
            merger = Merger(self.exchange, whole.features)
        self._see_patches(whole, merger, progress)
        if merger is not None and thumbnail is not None:
            merged = merger.merged(thumbnail.dtype)
            whole = None  # gives its room to the refined branch
            whole = self.form.see_again(thumbnail, merged, self.wanted)
            self._add_far_part(whole, progress)
        return _logits(whole)

    def _see_patches(
        self, whole: WholeOutput | None, merger: Merger | None, progress: Progress
    ) -> None:
        windows = list(self.grid)
        done = 0
        progress("patches", 0, len(windows))
        for indices in self._batches():
            pixels = self._pixels(
                [read_patch(self.raster, windows[k], self.config.framing) for k in indices]
            )
            places = [self._places[k] for k in indices]
            output = self.form.see_patches(pixels, whole, self.exchange, places, self.wanted)
            if merger is not None:
                merger.add(output.features, places)
            scores = dict(output.scores)
            if Answer.AGGREGATED in scores and merger is None and whole is not None:
                own = scores[Answer.AGGREGATED]
                far = self.form.far_part(whole, self.exchange, own.shape, places)
                scores[Answer.AGGREGATED] = own + far
            for answer, of in scores.items():
                self._keep(answer, indices, of)
            done += len(indices)
            progress("patches", done, len(windows))

    def _add_far_part(self, whole: WholeOutput, progress: Progress) -> None:
        scratch = self.kept.get(Answer.AGGREGATED)
        if scratch is None:
            return
        for indices in self._batches():
            places = [self._places[k] for k in indices]
            parts = self.form.far_part(whole, self.exchange, scratch.frame, places)
            for k, part in zip(indices, parts, strict=True):
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
        return pixels.to(self.settings.device, dtype_of(self.settings))

    def _batches(self) -> Iterator[list[int]]:
        step = self.settings.patch_batch
        for first in range(0, len(self._places), step):
            yield list(range(first, min(first + step, len(self._places))))

    def close(self) -> None:
        for scratch in self.kept.values():
            scratch.close()


def _logits(whole: WholeOutput | None) -> Tensor | None:
    return None if whole is None or whole.logits is None else whole.logits[0].float()
