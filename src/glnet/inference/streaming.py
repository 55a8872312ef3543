"""From a raster to all that is known about it: the passes with real pixels.

With `passes.py`, `predict` is the paper's Figure 4 at work. The aggregated scores of a patch are
a local part, known when the patch is first seen, and a global part, which follows from the refined
branch's fused map alone. So patches are read and run once, and only a few class maps per patch
wait in the scratch file.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from glnet.geometry import PatchGrid
from glnet.inference.forming import dtype_of, form_of
from glnet.inference.machine import resolved
from glnet.inference.passes import Passes
from glnet.inference.pixels import framed, normalized, read_patch, read_thumbnail
from glnet.inference.prediction import TURNS, Prediction, View, close_all
from glnet.inference.scratch import Scratch
from glnet.inference.settings import Precision, Progress, Settings, quiet
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model
from glnet.model.config import ModelConfig
from glnet.model.exchange import Exchange
from glnet.model.forms import Form
from glnet.model.forms import answers_of as network_answers
from glnet.raster import Masked, Raster, Turn, TurnedRaster

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
            settings = run.settings
            global_logits = run.passes.run(settings.patch_batch, progress, settings.ahead)
    except BaseException:
        run.close()
        raise
    return View(turn, run.grid, run.sampling, global_logits, run.passes.kept)


def _numbered(progress: Progress, number: int, ways: int) -> Progress:
    """The same progress, which says which way is at hand where there are several."""
    if ways == 1:
        return progress
    return lambda phase, done, total: progress(f"{phase}, way {number} of {ways}", done, total)


class _Run:
    """One prediction's pixels, passes and scratch."""

    def __init__(
        self,
        model: Model,
        form: Form,
        raster: Raster,
        settings: Settings,
        wanted: tuple[Answer, ...],
    ) -> None:
        self.settings = settings
        self.grid = model.config.framing.grid(raster.size)
        self.sampling = model.config.framing.sampling
        exchange = Exchange(self.grid, self.sampling)
        pixels = _RasterPixels(raster, model.config, self.grid, settings)
        self.passes = Passes(form, exchange, self.grid.places, wanted, pixels, self._keep)

    def _keep(self, frame: torch.Size) -> Scratch:
        return Scratch(len(self.grid), frame, self.settings.scratch)

    def close(self) -> None:
        for scratch in self.passes.kept.values():
            scratch.close()


class _RasterPixels:
    """What the network sees of a raster."""

    def __init__(
        self, raster: Raster, config: ModelConfig, grid: PatchGrid, settings: Settings
    ) -> None:
        self._raster = raster
        self._config = config
        self._windows = list(grid)
        self._settings = settings

    def thumbnail(self) -> Tensor:
        return self._entering([read_thumbnail(self._raster, self._config.framing)])

    def patches(self, indices: Sequence[int]) -> Tensor:
        framing = self._config.framing
        return self._entering(
            [read_patch(self._raster, self._windows[k], framing) for k in indices]
        )

    def _entering(self, parts: list[Masked]) -> Tensor:
        each = [normalized(of.pixels, self._config.normalization, of.valid) for of in parts]
        pixels = torch.stack(each)
        return pixels.to(self._settings.device, dtype_of(self._settings))
