"""The passes with real pixels over one raster: all its regions, each laid in all ways.

A raster is cut into regions (mostly one: itself); a unit is a region laid in one way.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.geometry import PatchGrid, Window
from glnet.inference.blending import Blending, weights_of
from glnet.inference.forming import dtype_of
from glnet.inference.journal import Journal, UnitLog
from glnet.inference.machine import give_back_memory
from glnet.inference.passes import Passes, SeenPatches
from glnet.inference.pixels import framed, normalized, read_patch, read_thumbnail
from glnet.inference.position import Position
from glnet.inference.prediction import Prediction
from glnet.inference.region_prediction import Region, RegionPrediction, View
from glnet.inference.regions import regions_of
from glnet.inference.score_files import Scores
from glnet.inference.scratch import NoScores, PatchScores, Scratch
from glnet.inference.settings import Progress, Settings
from glnet.inference.sureness import refine_rule_of
from glnet.inference.turns import TURNS
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model
from glnet.model.config import ModelConfig
from glnet.model.exchange import Exchange
from glnet.model.forms import Form
from glnet.raster import Masked, Raster, RasterPart, Turn, TurnedRaster


def blending_of(config: ModelConfig, settings: Settings) -> Blending:
    """How patches are blended: as settings say; else as the model's sampling goes with."""
    if settings.blending is not None:
        return settings.blending
    return "uniform" if config.framing.sampling == "published" else "feathered"


class Section(NamedTuple):
    """Which part of a run a raster is.

    Attributes:
        first: The number of its first unit.
        name: What the names of its files of scores begin with.
    """

    first: int
    name: str


ALL = Section(0, "scores")


class Work(NamedTuple):
    """What is to be done with rasters.

    Attributes:
        model: Not changed.
        settings: Resolved.
        wanted: Which answers are kept.
        form: How the network is computed.
        journal: Where it is noted how far it is, if anywhere.
    """

    model: Model
    settings: Settings
    wanted: tuple[Answer, ...]
    form: Form
    journal: Journal | None = None


class Predicting:
    """One prediction: all regions of a raster, each laid in all ways.

    Args:
        work: What is to be done.
        raster: With what.
        section: Which part of a run it is.
    """

    def __init__(self, work: Work, raster: Raster, section: Section = ALL) -> None:
        model, settings = work.model, work.settings
        self._section = section
        self._model = model
        self._raster = raster
        self._settings = settings
        self._wanted = work.wanted
        self._form = work.form
        self._journal = work.journal
        self._turns = TURNS[settings.turns]
        self._regions = regions_of(raster.size, model.config, settings.regions).grid
        self._blending = blending_of(model.config, settings)
        self._scores: Scores | None = None

    @property
    def units(self) -> int:
        """How many there are."""
        return len(self._regions) * len(self._turns)

    def run(self, progress: Progress) -> Prediction:
        """Run all passes over all of it."""
        try:
            with torch.inference_mode():
                regions = [
                    Region(place, self._views(place, number, progress))
                    for number, place in enumerate(self._regions)
                ]
        except BaseException:
            self._close()
            raise
        size = self._raster.size
        return RegionPrediction(size, regions, self._regions, self._blending, self._close)

    def _views(self, place: Window, region: int, progress: Progress) -> list[View]:
        """All ways in which a region is laid, one after another."""
        is_whole = len(self._regions) == 1
        part = self._raster if is_whole else RasterPart(self._raster, place)
        ways = len(self._turns)
        return [
            self._viewed(
                part,
                turn,
                self._section.first + region * ways + way,
                numbered(progress, {"region": (region, len(self._regions)), "way": (way, ways)}),
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
            del passes
            give_back_memory()
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
                range(self._section.first, self._section.first + self.units),
                len(grid),
                self._settings.patch_batch,
                folder,
                None if self._journal is None else self._section.name,
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


def numbered(progress: Progress, places: Mapping[str, tuple[int, int]]) -> Progress:
    """The same progress, which says which of several boxes, regions or ways is at hand."""
    words = [
        f", {name} {number + 1} of {count}" for name, (number, count) in places.items() if count > 1
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
