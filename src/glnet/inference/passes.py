"""The passes over one raster: thumbnail, patches, thumbnail again, far part.

Where pixels come from, where scores go and where it is noted how far they are is left to others, so
that an estimate runs the very same steps as a prediction, without pixels.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from glnet.inference.overlapping import made_ahead
from glnet.inference.position import Log, Phase, Unlogged
from glnet.inference.scratch import PatchScores
from glnet.inference.settings import Progress, quiet
from glnet.inference.sureness import RefineRule, context_scores, sure_patches
from glnet.model.answers import Answer
from glnet.model.exchange import Exchange, Merger, PatchIndex
from glnet.model.forms import Form, WholeOutput


class SeenPatches(NamedTuple):
    """Some patches as the network takes them.

    Attributes:
        measured: Those that hold at least one measurement.
        holed: Those of them that hold some pixels that are none.
        pixels: (N, bands, h, w) of those that are measured; None where none is.
    """

    measured: list[int]
    holed: list[int]
    pixels: Tensor | None


class Pixels(Protocol):
    """Where the network's input comes from: normalised, on the device, in its numbers."""

    def thumbnail(self) -> Tensor:
        """The whole raster: (1, bands, h, w)."""
        ...

    def patches(self, indices: Sequence[int]) -> SeenPatches:
        """Patches by their number in the grid."""
        ...


class Keep(Protocol):
    """Makes a place for the scores (K, h, w) of patches."""

    def __call__(self, answer: Answer, frame: torch.Size) -> PatchScores:
        """For this answer; the global branch's has one "patch", the thumbnail."""
        ...


class Passes:
    """What one run over a raster remembers.

    Args:
        form: The network.
        exchange: The raster's way between frames.
        places: Of all patches, in the order in which they are numbered.
        wanted: Which answers are kept.
        pixels: Where the input comes from.
        keep: Makes a place for scores.
        log: Where to start, and where it is noted how far it goes.
        kept: The places that were made before it was stopped.
        refine: Which patches enter the local branch; all by default. Those that do not keep the
            context branch's answer. To the merger they are as patches without a measurement: the
            refined branch hears nothing from where no other patch reaches.

    Attributes:
        kept: The places for scores that there are.
        position: How far it is.
    """

    def __init__(  # noqa: PLR0913 - what comes in and goes out, each from somewhere else
        self,
        form: Form,
        exchange: Exchange,
        places: Sequence[PatchIndex],
        wanted: Sequence[Answer],
        *,
        pixels: Pixels,
        keep: Keep,
        log: Log | None = None,
        kept: Mapping[Answer, PatchScores] | None = None,
        refine: RefineRule | None = None,
    ) -> None:
        self.kept = dict(kept or {})
        self._log = log or Unlogged()
        self.position = self._log.position
        self._form = form
        self._exchange = exchange
        self._places = places
        self._wanted = wanted
        self._pixels = pixels
        self._keep = keep
        self._refine = refine

    def run(self, batch: int, progress: Progress = quiet, ahead: int = 0) -> None:
        """All passes that are left.

        Args:
            batch: How many patches run at once.
            progress: Told after every batch.
            ahead: How many batches are read while another one is in the network.
        """
        whole, thumbnail, merger = None, None, None
        if Answer.GLOBAL in self._form.answers:
            thumbnail = self._pixels.thumbnail()
            whole = self._form.see_whole(thumbnail, self._wanted_first())
        if set(self._wanted) <= {Answer.GLOBAL} and not self._form.hears_patches:
            self._end(whole)
            return
        self._find_sure(whole)
        if self._form.hears_patches and whole is not None:
            merger = self._merger(whole)
        if self.position.phase == "patches":
            self._see_all(batch, progress, ahead, whole, merger)
        if merger is not None and thumbnail is not None:
            whole = None  # gives its room to the refined branch
            merged = merger.merged(thumbnail.dtype)
            whole = self._form.see_again(thumbnail, merged, self._wanted)
            self._add_far_part(whole, batch, progress)
        self._end(whole)

    def _wanted_first(self) -> set[Answer]:
        """What is asked of the first look at the thumbnail."""
        wanted = set() if self._form.hears_patches else set(self._wanted)
        return wanted if self._refine is None else wanted | {Answer.GLOBAL}

    def _find_sure(self, whole: WholeOutput | None) -> None:
        """Which patches are not refined is decided once, before the first one."""
        has_begun = self.position.phase != "patches" or self.position.done > 0
        if self._refine is None or has_begun or whole is None or whole.logits is None:
            return
        sure = sure_patches(whole.logits, self._exchange, self._places, self._refine.below)
        self.position = replace(self.position, sure=sure)

    def _merger(self, whole: WholeOutput) -> Merger:
        """With what was merged before this run."""
        merger, seen = Merger(self._exchange, whole.features, self._places), self._seen()
        if seen:
            without = self.position.skipped | self.position.sure
            merger.restore(self._log.sums(), [self._places[k] for k in seen if k not in without])
            merger.skip([self._places[k] for k in seen if k in without])
        return merger

    def _seen(self) -> range:
        """Which patches are through the network."""
        is_first = self.position.phase == "patches"
        return range(self.position.done if is_first else len(self._places))

    def _see_all(
        self,
        batch: int,
        progress: Progress,
        ahead: int,
        whole: WholeOutput | None,
        merger: Merger | None,
    ) -> None:
        progress("patches", self.position.done, len(self._places))
        batches = self._batches(batch, self.position.done, self.position.sure)
        with closing(made_ahead(self._read, batches, ahead)) as seen:
            for indices, found in seen:
                if found.pixels is not None:
                    self._see_patches(found.measured, found.pixels, whole, merger)
                sure = self.position.sure.intersection(indices)
                skipped = frozenset(indices).difference(found.measured, sure)
                if merger is not None:
                    merger.skip([self._places[k] for k in sorted(skipped | sure)])
                if indices[-1] + 1 == len(self._places) and whole is not None:
                    self._keep_sure(whole, batch)
                self._advance("patches", indices, merger, skipped, frozenset(found.holed))
                del found  # gives its room to the next one
                progress("patches", indices[-1] + 1, len(self._places))

    def _read(self, indices: list[int]) -> tuple[list[int], SeenPatches]:
        return indices, self._pixels.patches([k for k in indices if k not in self.position.sure])

    def _advance(
        self,
        phase: Phase,
        indices: list[int],
        merger: Merger | None,
        skipped: frozenset[int],
        holed: frozenset[int],
    ) -> None:
        """A batch is done; where it was the last one, that is noted at once."""
        before = self.position
        self.position = replace(
            before,
            phase=phase,
            done=indices[-1] + 1,
            skipped=before.skipped | skipped,
            holed=before.holed | holed,
        )
        is_last = self.position.done == len(self._places)
        if merger is not None and is_last:
            self.position = replace(self.position, phase="global part", done=0)
        sums = [] if merger is None else merger.sums
        self._log.note(self.position, sums, must=is_last and merger is not None)

    def _see_patches(
        self, indices: list[int], pixels: Tensor, whole: WholeOutput | None, merger: Merger | None
    ) -> None:
        """One batch; its maps end with this call."""
        places = [self._places[k] for k in indices]
        output = self._form.see_patches(pixels, whole, self._exchange, places, self._wanted)
        if merger is not None:
            merger.add(output.features, places)
        for answer, scores in output.scores.items():
            if answer not in self._wanted:
                continue
            far: Tensor | int = 0
            if answer is Answer.AGGREGATED and merger is None and whole is not None:
                far = self._form.far_part(whole, self._exchange, scores.shape, places)
            if answer not in self.kept:
                self.kept[answer] = self._keep(answer, scores.shape[1:])
            self.kept[answer].write(indices, scores + far)

    def _keep_sure(self, whole: WholeOutput, batch: int) -> None:
        """The scores of patches that were not refined; last, in the frame that others have."""
        if self._refine is None or whole.logits is None:
            return
        sure = sorted(self.position.sure)
        for answer in self._wanted if sure else ():
            if answer is Answer.GLOBAL:
                continue
            if answer not in self.kept:
                self.kept[answer] = self._keep(answer, self._refine.frame)
            kept = self.kept[answer]
            for first in range(0, len(sure), batch):
                part = sure[first : first + batch]
                places = [self._places[k] for k in part]
                kept.write(part, context_scores(whole.logits, self._exchange, kept.frame, places))

    def _add_far_part(self, whole: WholeOutput, batch: int, progress: Progress) -> None:
        if Answer.AGGREGATED not in self._wanted or len(self.position.skipped) == len(self._places):
            return
        kept, noted = self.kept[Answer.AGGREGATED], self.position.done
        for indices in self._batches(batch, self.position.done):
            if indices[-1] + 1 - noted > kept.spare > 0:
                # What patches were before, which a second try needs, is about to be overwritten.
                self._log.note(self.position, [], must=True)
                noted = self.position.done
            present = [k for k in indices if k not in self.position.skipped]
            if present:
                kept.add(present, self._far_part(whole, kept.frame, present))
            done = indices[-1] + 1
            self.position = replace(self.position, done=done, added=done)
            progress("global part", indices[-1] + 1, len(self._places))

    def _far_part(self, whole: WholeOutput, frame: torch.Size, present: list[int]) -> Tensor:
        """Nothing for patches that keep the context branch's answer."""
        refined = [at for at, k in enumerate(present) if k not in self.position.sure]
        if not refined:
            return torch.zeros(len(present), *frame)
        places = [self._places[present[at]] for at in refined]
        far = self._form.far_part(whole, self._exchange, frame, places)
        if len(refined) == len(present):
            return far
        spread = far.new_zeros(len(present), *frame)
        spread[refined] = far
        return spread

    def _end(self, whole: WholeOutput | None) -> None:
        if Answer.GLOBAL in self._wanted and whole is not None and whole.logits is not None:
            kept = self._keep(Answer.GLOBAL, whole.logits.shape[1:])
            kept.write([0], whole.logits)
            self.kept[Answer.GLOBAL] = kept
        self.position = replace(self.position, phase="done", done=len(self._places))
        self._log.note(self.position, [], must=True)

    def _batches(
        self, batch: int, start: int, free: frozenset[int] = frozenset()
    ) -> Iterator[list[int]]:
        """Patches from one on, so many at once; those that are free do not count."""
        first, counted = start, 0
        for number in range(start, len(self._places)):
            counted += number not in free
            if counted == batch or number + 1 == len(self._places):
                yield list(range(first, number + 1))
                first, counted = number + 1, 0
