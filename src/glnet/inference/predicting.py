"""The passes with real pixels over one raster: all its regions, each laid in all ways.

A raster is cut into regions (mostly one: itself); a unit is a region laid in one way.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from typing import NamedTuple

import torch

from glnet.geometry import PatchGrid, Window
from glnet.inference.blending import Blending, weights_of
from glnet.inference.coarse import made_now
from glnet.inference.executing import WHOLE_PATCHES, Crew, UnitFound
from glnet.inference.groups import Seer
from glnet.inference.heap import give_back_memory
from glnet.inference.journal import Journal
from glnet.inference.passes import sees_patches
from glnet.inference.position import Position
from glnet.inference.prediction import Prediction
from glnet.inference.region_prediction import Region, RegionPrediction, View
from glnet.inference.regions import regions_of
from glnet.inference.score_files import Scores
from glnet.inference.scratch import NoScores, PatchScores, Scratch
from glnet.inference.settings import Progress, Settings
from glnet.inference.turns import TURNS
from glnet.inference.unit_log import UnitLog
from glnet.inference.units import Unit, UnitPlace, Work
from glnet.model.answers import Answer
from glnet.model.config import ModelConfig
from glnet.raster import Raster, Turn


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


class Elsewhere(NamedTuple):
    """What a prediction has beside what it is to do.

    Attributes:
        journal: Where it is noted how far it is, if anywhere.
        crew: Who runs the network, if not this process.
    """

    journal: Journal | None = None
    crew: Crew | None = None


HERE = Elsewhere()


class Predicting:
    """One prediction: all regions of a raster, each laid in all ways.

    Args:
        work: What is to be done.
        raster: With what.
        elsewhere: Where it is noted, and who runs the network.
        box: Of the raster, the part that is predicted; None for all of it.
        section: Which part of a run it is.
    """

    def __init__(
        self,
        work: Work,
        raster: Raster,
        elsewhere: Elsewhere = HERE,
        box: Window | None = None,
        section: Section = ALL,
    ) -> None:
        model, settings = work.model, work.settings
        self._work = work
        self._image = raster
        self._journal, self._crew = elsewhere
        self._box = box
        self._section = section
        self._size = raster.size if box is None else box.size
        self._turns = TURNS[settings.turns]
        self._regions = regions_of(self._size, model.config, settings.regions).grid
        self._blending = blending_of(model.config, settings)
        self._scores: Scores | None = None
        self._whole: Iterator[UnitFound] = iter(())

    @property
    def units(self) -> int:
        """How many there are."""
        return len(self._regions) * len(self._turns)

    def run(self, progress: Progress) -> Prediction:
        """Run all passes over all of it."""
        try:
            with torch.inference_mode(), ExitStack() as stack:
                if self._crew is not None:
                    self._whole = stack.enter_context(closing(self._crew.whole(self._seen_whole())))
                regions = [
                    Region(place, self._views(place, number, progress))
                    for number, place in enumerate(self._regions)
                ]
        except BaseException:
            self._close()
            raise
        return RegionPrediction(self._size, regions, self._regions, self._blending, self._close)

    def _place(self, region: Window, turn: Turn) -> UnitPlace:
        is_whole, is_alone = len(self._regions) == 1, len(self._turns) == 1
        return UnitPlace(self._box, None if is_whole else region, None if is_alone else turn)

    def _seen_whole(self) -> Iterator[UnitPlace]:
        """The units that others see to their end, in the order in which they are asked for."""
        number = self._section.first
        for region in self._regions:
            for turn in self._turns:
                place = self._place(region, turn)
                if self._is_seen_whole(number, Unit(self._work, place.of(self._image))):
                    yield place
                number += 1

    def _is_seen_whole(self, number: int, unit: Unit) -> bool:
        """Whether another sees it to its end, and not group by group."""
        if self._crew is None:
            return False
        log = self._log(number, unit.grid)
        is_small = len(unit.grid) <= WHOLE_PATCHES or not self._sees_patches
        return is_small and (log is None or log.position == Position())

    def _views(self, place: Window, region: int, progress: Progress) -> list[View]:
        """All ways in which a region is laid, one after another."""
        ways = len(self._turns)
        return [
            self._viewed(
                self._place(place, turn),
                turn,
                self._section.first + region * ways + way,
                numbered(progress, {"region": (region, len(self._regions)), "way": (way, ways)}),
            )
            for way, turn in enumerate(self._turns)
        ]

    def _viewed(self, place: UnitPlace, turn: Turn, number: int, progress: Progress) -> View:
        """Run all passes over a part that is laid in one way."""
        unit = Unit(self._work, place.of(self._image))
        kept, position = self._ended(place, unit, number, progress)
        give_back_memory()
        grid, model = unit.grid, self._work.model
        none = NoScores(model.num_classes)
        return View(
            turn,
            unit.laid,
            grid,
            model.config.framing.sampling,
            weights_of(grid, self._blending),
            {answer: kept.get(answer, none) for answer in self._work.wanted},
            position.skipped,
            self._holed(position, grid),
            len(grid) - len(position.skipped | position.sure) if self._sees_patches else 0,
        )

    def _ended(
        self, place: UnitPlace, unit: Unit, number: int, progress: Progress
    ) -> tuple[Mapping[Answer, PatchScores], Position]:
        """The scores of a unit, and its last position."""
        log = self._log(number, unit.grid)
        keep = _Keeping(self._scores_for(unit.grid), number, log)
        if self._is_seen_whole(number, unit):
            return self._taken(next(self._whole), keep, log, progress)
        kept = {} if log is None else log.kept()
        if log is not None and log.position.phase == "done":
            return kept, log.position
        passes = unit.passes(keep, log, kept)
        passes.run(self._seer(place, unit, log), self._work.settings.patch_batch, progress)
        if log is not None:
            log.forget_thumbnail()
        return passes.kept, passes.position

    def _seer(self, place: UnitPlace, unit: Unit, log: UnitLog | None) -> Seer:
        remember = made_now if log is None else log.thumbnail
        if self._crew is not None:
            return self._crew.seer(place, remember)
        return unit.seer(lambda: remember(unit.read_thumbnail))

    def _taken(
        self, found: UnitFound, keep: "_Keeping", log: UnitLog | None, progress: Progress
    ) -> tuple[Mapping[Answer, PatchScores], Position]:
        """What another found of a whole unit, in its place."""
        kept: dict[Answer, PatchScores] = {}
        for answer, (patches, scores) in found.scores.items():
            kept[answer] = keep(answer, torch.Size(scores.shape[1:]), found.position)
            for patch, of in zip(patches, scores, strict=True):
                kept[answer].write([patch], torch.from_numpy(of.copy())[None])
        if log is not None:
            log.note(found.position, [])
        progress("patches", found.position.done, found.position.done)
        return kept, found.position

    @property
    def _sees_patches(self) -> bool:
        return sees_patches(self._work.form, self._work.wanted)

    def _holed(self, position: Position, grid: PatchGrid) -> frozenset[int]:
        """Any patch may be that was not read."""
        unread = position.sure if self._sees_patches else frozenset(range(len(grid)))
        return position.holed | unread if self._image.has_mask else position.holed

    def _log(self, unit: int, grid: PatchGrid) -> UnitLog | None:
        if self._journal is None:
            return None
        return UnitLog(self._journal, unit, self._scores_for(grid))

    def _scores_for(self, grid: PatchGrid) -> Scores:
        """All units have as many patches."""
        if self._scores is None:
            settings, journal = self._work.settings, self._journal
            self._scores = Scores(
                range(self._section.first, self._section.first + self.units),
                len(grid),
                settings.patch_batch,
                settings.scratch if journal is None else journal.scores_folder,
                None if journal is None else self._section.name,
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

    def __call__(
        self, answer: Answer, frame: torch.Size, position: Position | None = None
    ) -> Scratch:
        if self._log is not None:
            return self._log.keep(answer, frame, position)
        return self._scores.section(self._unit, answer, frame, position)


def numbered(progress: Progress, places: Mapping[str, tuple[int, int]]) -> Progress:
    """The same progress, which says which of several boxes, regions or ways is at hand."""
    words = [
        f", {name} {number + 1} of {count}" for name, (number, count) in places.items() if count > 1
    ]
    if not words:
        return progress
    return lambda phase, done, total: progress(phase + "".join(words), done, total)
