"""The passes over one raster: thumbnail, patches, thumbnail again, far part.

Who runs the network, where scores go and where it is noted how far they are is left to others, so
that an estimate runs the very same steps as a prediction, without pixels, and a cluster the very
same as one process.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from glnet.inference.groups import Found, Seer, cut, groups_of
from glnet.inference.position import Log, Unlogged
from glnet.inference.scratch import PatchScores
from glnet.inference.settings import Progress, quiet
from glnet.inference.sureness import RefineRule, context_scores, sure_patches
from glnet.model.answers import Answer
from glnet.model.exchange import Exchange, PatchIndex
from glnet.model.features import BranchFeatures
from glnet.model.forms import Form, WholeOutput
from glnet.model.merging import Merger


class Keep(Protocol):
    """Makes a place for the scores (K, h, w) of patches."""

    def __call__(self, answer: Answer, frame: torch.Size) -> PatchScores:
        """For this answer; the global branch's has one "patch", the thumbnail."""
        ...


class Passes:
    """What one run over a raster remembers.

    Args:
        form: The network, of which only the far part is computed here.
        exchange: The raster's way between frames.
        places: Of all patches, in the order in which they are numbered.
        wanted: Which answers are kept.
        keep: Makes a place for scores.
        log: Where to start, and where it is noted how far it goes.
        kept: The places that were made before it was stopped.
        refine: Which patches enter the local branch; all by default. Those that do not keep the
            context branch's answer. To the merger they are as patches without a measurement: the
            refined branch hears nothing from where no other patch reaches.
        group: How many patches are a group, if not `GROUP`.

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
        keep: Keep,
        log: Log | None = None,
        kept: Mapping[Answer, PatchScores] | None = None,
        refine: RefineRule | None = None,
        group: int | None = None,
    ) -> None:
        self.kept = dict(kept or {})
        self._log = log or Unlogged()
        self.position = self._log.position
        self._form = form
        self._exchange = exchange
        self._places = places
        self._wanted = wanted
        self._keep = keep
        self._refine = refine
        self._group = group

    def run(self, seer: Seer, batch: int, progress: Progress = quiet) -> None:
        """All passes that are left.

        Args:
            seer: Who runs the network.
            batch: How many patches get their far part at once.
            progress: Told after every batch.
        """
        logits, merger = None, None
        if Answer.GLOBAL in self._form.answers:
            first = seer.first(wanted_first(self._form, self._wanted, self._refine))
            logits = first.logits
            if sees_patches(self._form, self._wanted):
                self._find_sure(logits)
                merger = self._merger(first.features) if self._form.hears_patches else None
            del first  # gives its room to the refined branch, in time
        if sees_patches(self._form, self._wanted):
            if self.position.phase == "patches":
                self._see_all(seer, batch, progress, logits, merger)
            if merger is not None:
                whole = seer.again(merger)
                logits = whole.logits
                self._add_far_part(whole, batch, progress)
        self._end(logits)

    def _find_sure(self, logits: Tensor | None) -> None:
        """Which patches are not refined is decided once, before the first one."""
        has_begun = self.position.phase != "patches" or self.position.done > 0
        if self._refine is None or has_begun or logits is None:
            return
        sure = sure_patches(logits, self._exchange, self._places, self._refine.below)
        self.position = replace(self.position, sure=sure)

    def _merger(self, like: BranchFeatures) -> Merger:
        """With what was merged before this run."""
        merger, seen = Merger(self._exchange, like, self._places), self._seen()
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
        seer: Seer,
        batch: int,
        progress: Progress,
        logits: Tensor | None,
        merger: Merger | None,
    ) -> None:
        total = len(self._places)
        progress("patches", self.position.done, total)
        groups = groups_of(total, self.position.done, self._group)
        sure = self.position.sure
        with closing(
            seer.groups(groups, sure, self._write, lambda done: progress("patches", done, total))
        ) as found:
            for of in found:
                if merger is not None:
                    self._merge(of, merger)
                if of.group.stop == total:
                    self._keep_sure(logits, batch)
                self._advance(of, merger)
                progress("patches", of.group.stop, total)
                del of  # gives its room to the next one

    def _merge(self, found: Found, merger: Merger) -> None:
        """Sums are added in the order of the groups, whoever made them when."""
        if found.sums is not None:
            merger.add_group(found.sums)
        without = found.skipped | self.position.sure.intersection(found.group)
        merger.skip([self._places[k] for k in sorted(without)])

    def _advance(self, found: Found, merger: Merger | None) -> None:
        """A group is done; where it was the last one, that is noted at once."""
        before = self.position
        self.position = replace(
            before,
            done=found.group.stop,
            skipped=before.skipped | found.skipped,
            holed=before.holed | found.holed,
        )
        is_last = self.position.done == len(self._places)
        if merger is not None and is_last:
            self.position = replace(self.position, phase="global part", done=0)
        sums = [] if merger is None else merger.sums
        self._log.note(self.position, sums, must=is_last and merger is not None)

    def _write(self, answer: Answer, indices: Sequence[int], scores: Tensor) -> None:
        if answer not in self.kept:
            self.kept[answer] = self._keep(answer, scores.shape[1:])
        self.kept[answer].write(indices, scores)

    def _keep_sure(self, logits: Tensor | None, batch: int) -> None:
        """The scores of patches that were not refined; last, in the frame that others have."""
        if self._refine is None or logits is None:
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
                kept.write(part, context_scores(logits, self._exchange, kept.frame, places))

    def _add_far_part(self, whole: WholeOutput, batch: int, progress: Progress) -> None:
        if Answer.AGGREGATED not in self._wanted or len(self.position.skipped) == len(self._places):
            return
        kept, noted = self.kept[Answer.AGGREGATED], self.position.done
        for indices in cut(range(self.position.done, len(self._places)), batch):
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

    def _end(self, logits: Tensor | None) -> None:
        if Answer.GLOBAL in self._wanted and logits is not None:
            kept = self._keep(Answer.GLOBAL, logits.shape[1:])
            kept.write([0], logits)
            self.kept[Answer.GLOBAL] = kept
        self.position = replace(self.position, phase="done", done=len(self._places))
        self._log.note(self.position, [], must=True)


def sees_patches(form: Form, wanted: Sequence[Answer]) -> bool:
    """Whether what is wanted takes patches."""
    return form.hears_patches or not set(wanted) <= {Answer.GLOBAL}


def wanted_first(
    form: Form, wanted: Sequence[Answer], refine: RefineRule | None
) -> frozenset[Answer]:
    """What is asked of the first look at the thumbnail."""
    asked = frozenset() if form.hears_patches else frozenset(wanted)
    return asked if refine is None else asked | {Answer.GLOBAL}
