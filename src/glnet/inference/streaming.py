"""From a raster to all that is known about it: the passes with real pixels.

With `passes.py`, `predict` is the paper's Figure 4 at work. The aggregated scores of a patch are
a local part, known when the patch is first seen, and a global part, which follows from the refined
branch's fused map alone. So patches are read and run once, and only a few class maps per patch
wait in the scratch file. A raster is cut into regions (mostly one: itself); a unit is a region
laid in one way.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.geometry import PatchGrid, Window
from glnet.inference.blending import Blending, weights_of
from glnet.inference.forming import dtype_of, form_of
from glnet.inference.journal import Journal, UnitLog
from glnet.inference.machine import resolved
from glnet.inference.passes import Passes, Position, SeenPatches
from glnet.inference.pixels import framed, normalized, read_patch, read_thumbnail, require_bands
from glnet.inference.prediction import TURNS, Prediction, Region, View
from glnet.inference.regions import regions_of
from glnet.inference.score_files import Scores
from glnet.inference.scratch import NoScores, PatchScores, Scratch
from glnet.inference.settings import Precision, Progress, Settings, quiet
from glnet.inference.sureness import refine_rule_of, require_context
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model
from glnet.model.config import ModelConfig
from glnet.model.exchange import Exchange
from glnet.model.forms import Form
from glnet.model.forms import answers_of as network_answers
from glnet.raster import Masked, Raster, RasterPart, Turn, TurnedRaster

__all__ = ["Answer", "Precision", "Prediction", "Progress", "Settings", "answers_of", "predict"]


def answers_of(model: Model) -> tuple[Answer, ...]:
    """The answers a model can give; the last one is the model's own."""
    return network_answers(model.network)


def blending_of(config: ModelConfig, settings: Settings) -> Blending:
    """How patches are blended: as settings say; else as the model's sampling goes with."""
    if settings.blending is not None:
        return settings.blending
    return "uniform" if config.framing.sampling == "published" else "feathered"


def predict(  # noqa: PLR0913 - what, where to, how; each may be left out alone
    model: Model,
    raster: Raster,
    settings: Settings,
    wanted: tuple[Answer, ...] = (),
    progress: Progress = quiet,
    form: Form | None = None,
    *,
    journal: Journal | None = None,
) -> Prediction:
    """Run the network over a raster, every patch once in every way to lay the raster.

    Args:
        model: Not changed.
        raster: Of the model's band count, any size.
        settings: Where and how.
        wanted: Which answers are to be kept; the model's own by default.
        progress: Told after every batch of patches.
        form: How the network is computed, as `form_of` makes it once for many rasters.
        journal: Where it is noted how far it is, and where it goes on from; started or resumed.

    Raises:
        ConfigurationError: If there is no such device or precision, or no context branch that
            could be sure of patches.
        InputMismatchError: If the raster has another number of bands than the model takes.
        RasterError: If pixels cannot be read.
        OutputError: If there is no room for the scratch file.
    """
    settings = resolved(settings)
    form = form or form_of(model, settings).form
    wanted = wanted or answers_of(model)[-1:]
    require_bands(raster, model.bands)
    require_context(model, settings)
    return _Predicting(model, raster, settings, wanted, form, journal).run(progress)


class _Predicting:
    """One prediction: all regions of a raster, each laid in all ways."""

    def __init__(
        self,
        model: Model,
        raster: Raster,
        settings: Settings,
        wanted: tuple[Answer, ...],
        form: Form,
        journal: Journal | None,
    ) -> None:
        self._model = model
        self._raster = raster
        self._settings = settings
        self._wanted = wanted
        self._form = form
        self._journal = journal
        self._turns = TURNS[settings.turns]
        self._regions = regions_of(raster.size, model.config, settings.regions).grid
        self._blending = blending_of(model.config, settings)
        self._scores: Scores | None = None

    def run(self, progress: Progress) -> Prediction:
        try:
            with torch.inference_mode():
                regions = [
                    Region(place, self._views(place, number, progress))
                    for number, place in enumerate(self._regions)
                ]
        except BaseException:
            self._close()
            raise
        return Prediction(self._raster.size, regions, self._regions, self._blending, self._close)

    def _views(self, place: Window, region: int, progress: Progress) -> list[View]:
        """All ways in which a region is laid, one after another."""
        is_whole = len(self._regions) == 1
        part = self._raster if is_whole else RasterPart(self._raster, place)
        ways = len(self._turns)
        return [
            self._viewed(
                part,
                turn,
                region * ways + way,
                _numbered(progress, (region, len(self._regions)), (way, ways)),
            )
            for way, turn in enumerate(self._turns)
        ]

    def _viewed(self, part: Raster, turn: Turn, unit: int, progress: Progress) -> View:
        """Run all passes over a part that is laid in one way."""
        settings, config = self._settings, self._model.config
        laid = part if len(self._turns) == 1 else TurnedRaster(part, turn)
        pixels_of = framed(laid, self._model)
        grid = config.framing.grid(pixels_of.size)
        log = self._log(unit, grid)
        kept: dict[Answer, PatchScores] = {} if log is None else log.kept()
        position = Position() if log is None else log.position
        if position.phase != "done":
            passes = Passes(
                self._form,
                Exchange(grid, config.framing.sampling),
                grid.places,
                self._wanted,
                pixels=_RasterPixels(pixels_of, config, grid, settings, log),
                keep=_Keeping(self._scores_for(grid), unit, log),
                log=log,
                kept=kept,
                refine=refine_rule_of(self._model, settings, grid),
            )
            passes.run(settings.patch_batch, progress, settings.ahead)
            kept, position = passes.kept, passes.position
            if log is not None:
                log.forget_thumbnail()
        none = NoScores(self._model.num_classes)
        return View(
            turn,
            laid.size,
            grid,
            config.framing.sampling,
            weights_of(grid, self._blending),
            {answer: kept.get(answer, none) for answer in self._wanted},
            position.skipped,
            self._holed(position, grid),
            len(grid) - len(position.skipped | position.sure) if self._sees_patches else 0,
        )

    @property
    def _sees_patches(self) -> bool:
        return self._form.hears_patches or not set(self._wanted) <= {Answer.GLOBAL}

    def _holed(self, position: Position, grid: PatchGrid) -> frozenset[int]:
        """Any patch may be that was not read."""
        unread = position.sure if self._sees_patches else frozenset(range(len(grid)))
        return position.holed | unread if self._raster.has_mask else position.holed

    def _log(self, unit: int, grid: PatchGrid) -> UnitLog | None:
        return None if self._journal is None else self._journal.log(unit, self._scores_for(grid))

    def _scores_for(self, grid: PatchGrid) -> Scores:
        """All units have as many patches."""
        if self._scores is None:
            folder = (
                self._settings.scratch if self._journal is None else self._journal.scores_folder
            )
            self._scores = Scores(
                len(self._regions) * len(self._turns),
                len(grid),
                self._settings.patch_batch,
                folder,
                is_kept=self._journal is not None,
            )
        return self._scores

    def _close(self) -> None:
        if self._scores is not None:
            self._scores.close()


class _Keeping:
    """Makes places for the scores of one unit."""

    def __init__(self, scores: Scores, unit: int, log: UnitLog | None) -> None:
        self._scores = scores
        self._unit = unit
        self._log = log

    def __call__(self, answer: Answer, frame: torch.Size) -> Scratch:
        if self._log is not None:
            return self._log.keep(answer, frame)
        return self._scores.section(self._unit, answer, frame)


def _numbered(progress: Progress, region: tuple[int, int], way: tuple[int, int]) -> Progress:
    """The same progress, which says which region and way are at hand where there are several."""
    words = [
        f", {name} {number + 1} of {count}"
        for name, (number, count) in (("region", region), ("way", way))
        if count > 1
    ]
    if not words:
        return progress
    return lambda phase, done, total: progress(phase + "".join(words), done, total)


class _RasterPixels:
    """What the network sees of a raster."""

    def __init__(
        self,
        raster: Raster,
        config: ModelConfig,
        grid: PatchGrid,
        settings: Settings,
        log: UnitLog | None,
    ) -> None:
        self._raster = raster
        self._config = config
        self._windows = list(grid)
        self._settings = settings
        self._log = log

    def thumbnail(self) -> Tensor:
        read, log = self._read_thumbnail, self._log
        return self._entering([torch.from_numpy(read() if log is None else log.thumbnail(read))])

    def patches(self, indices: Sequence[int]) -> SeenPatches:
        framing = self._config.framing
        measured, holed, parts = [], [], []
        for index in indices:
            found = read_patch(self._raster, self._windows[index], framing)
            if found.valid is not None and not found.valid.any():
                continue
            measured.append(index)
            if found.valid is not None:
                holed.append(index)
            parts.append(self._normalized(found))
        return SeenPatches(measured, holed, self._entering(parts) if parts else None)

    def _read_thumbnail(self) -> NDArray[np.float32]:
        pixels: NDArray[np.float32] = self._normalized(
            read_thumbnail(self._raster, self._config.framing)
        ).numpy()
        return pixels

    def _normalized(self, found: Masked) -> Tensor:
        return normalized(found.pixels, self._config.normalization, found.valid)

    def _entering(self, parts: list[Tensor]) -> Tensor:
        return torch.stack(parts).to(self._settings.device, dtype_of(self._settings))
