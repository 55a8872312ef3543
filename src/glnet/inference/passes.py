"""The passes over one raster: thumbnail, patches, thumbnail again, far part.

Where pixels come from and where scores go is left to others, so that an estimate runs the very same
steps as a prediction, without pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Protocol

import torch
from torch import Tensor

from glnet.inference.overlapping import made_ahead
from glnet.inference.scratch import PatchScores
from glnet.inference.settings import Progress, quiet
from glnet.model.answers import Answer
from glnet.model.exchange import Exchange, Merger, PatchIndex
from glnet.model.forms import Form, WholeOutput


class Pixels(Protocol):
    """Where the network's input comes from: normalised, on the device, in its numbers."""

    def thumbnail(self) -> Tensor:
        """The whole raster: (1, bands, h, w)."""
        ...

    def patches(self, indices: Sequence[int]) -> Tensor:
        """Patches by their number in the grid: (N, bands, h, w)."""
        ...


class Passes:
    """What one run over a raster remembers.

    Args:
        form: The network.
        exchange: The raster's way between frames.
        places: Of all patches, in the order in which they are numbered.
        wanted: Which answers are kept.
        pixels: Where the input comes from.
        keep: Makes a place for the scores (K, h, w) of all patches.
    """

    def __init__(
        self,
        form: Form,
        exchange: Exchange,
        places: Sequence[PatchIndex],
        wanted: Sequence[Answer],
        pixels: Pixels,
        keep: Callable[[torch.Size], PatchScores],
    ) -> None:
        self.kept: dict[Answer, PatchScores] = {}
        self._form = form
        self._exchange = exchange
        self._places = places
        self._wanted = wanted
        self._pixels = pixels
        self._keep = keep

    def run(self, batch: int, progress: Progress = quiet, ahead: int = 0) -> Tensor | None:
        """All passes; returns the global branch's logits (K, h, w), if they are wanted.

        Args:
            batch: How many patches run at once.
            progress: Told after every batch.
            ahead: How many batches are read while another one is in the network.
        """
        whole, thumbnail, merger = None, None, None
        if Answer.GLOBAL in self._form.answers:
            thumbnail = self._pixels.thumbnail()
            whole = self._form.see_whole(thumbnail, self._wanted)
        if set(self._wanted) <= {Answer.GLOBAL} and not self._form.hears_patches:
            return _logits(whole)
        if self._form.hears_patches and whole is not None:
            merger = Merger(self._exchange, whole.features, self._places)
        progress("patches", 0, len(self._places))
        with closing(made_ahead(self._read, self._batches(batch), ahead)) as batches:
            for indices, pixels in batches:
                self._see_patches(indices, pixels, whole, merger)
                del pixels  # gives its room to the next one
                progress("patches", indices[-1] + 1, len(self._places))
        if merger is not None and thumbnail is not None:
            whole = None  # gives its room to the refined branch
            merged = merger.merged(thumbnail.dtype)
            whole = self._form.see_again(thumbnail, merged, self._wanted)
            self._add_far_part(whole, batch, progress)
        return _logits(whole)

    def _read(self, indices: list[int]) -> tuple[list[int], Tensor]:
        return indices, self._pixels.patches(indices)

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
                self.kept[answer] = self._keep(scores.shape[1:])
            self.kept[answer].write(indices, scores + far)

    def _add_far_part(self, whole: WholeOutput, batch: int, progress: Progress) -> None:
        kept = self.kept.get(Answer.AGGREGATED)
        if kept is None:
            return
        for indices in self._batches(batch):
            places = [self._places[k] for k in indices]
            kept.add(indices, self._form.far_part(whole, self._exchange, kept.frame, places))
            progress("global part", indices[-1] + 1, len(self._places))

    def _batches(self, batch: int) -> Iterator[list[int]]:
        for first in range(0, len(self._places), batch):
            yield list(range(first, min(first + batch, len(self._places))))


def _logits(whole: WholeOutput | None) -> Tensor | None:
    return None if whole is None or whole.logits is None else whole.logits[0].float()
