"""A prediction rehearsed: its passes, run with tensors that have no content.

Tensors on torch's ``meta`` device have a shape and a type, and no memory; they stand for those on
the device, which need not be here. The passes, the form and the stitching are those of a
prediction, so what is counted meanwhile is what a prediction does. All batches of patches are
alike, so that two of them tell the rest. (torch's fake tensors know their device as well; nothing
here asks.)
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from glnet.geometry import PatchGrid, Size, Window
from glnet.inference import groups
from glnet.inference.blending import weights_of
from glnet.inference.forming import dtype_of
from glnet.inference.groups import FormSeer, Reading, SeenPatches, groups_of
from glnet.inference.passes import Passes
from glnet.inference.region_prediction import Region, RegionPrediction, View
from glnet.inference.settings import Settings
from glnet.inference.streaming import blending_of
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model
from glnet.model.config import ModelConfig
from glnet.model.exchange import Exchange, PatchIndex
from glnet.model.forms import Form
from glnet.raster import UPRIGHT

META = torch.device("meta")

BATCHES = 2
"""So many are run: the second one shows what the first has left behind."""


class Rehearsal:
    """A prediction without content, of as many patches as tell the rest.

    Attributes:
        counts: What was counted phase by phase.
        frames: The shapes of what is kept of a patch, per answer.
    """

    def __init__(
        self,
        model: Model,
        regions: PatchGrid,
        settings: Settings,
        form: Form,
        wanted: Sequence[Answer],
    ) -> None:
        self.counts = Counts()
        self.frames: dict[Answer, torch.Size] = {}
        self._regions = regions
        self._batch = settings.patch_batch
        self._blending = blending_of(model.config, settings)
        self._grid = model.config.framing.grid(regions.patch)
        self._sampling = model.config.framing.sampling
        self._wanted = wanted
        exchange, group = Exchange(self._grid, self._sampling), _largest_group(self._grid)
        places = group[: BATCHES * self._batch]
        pixels = _ContentlessPixels(model.config, replace(settings, device=META.type))
        # The sums of a group have room for all of it, beside those of the groups before.
        reading = Reading(pixels, self._batch)
        self._seer = FormSeer(form, exchange, places, wanted, reading, group)
        self._passes = Passes(
            form,
            exchange,
            places,
            wanted,
            keep=lambda _, frame: _Nowhere(frame),
            group=None if len(self._grid) <= groups.GROUP else self._batch,
        )

    def run(self, beside: int) -> None:
        """All passes, some labels, and tensors of so many bytes beside what is left."""
        self._passes.run(self._seer, self._batch, self.counts.note)
        self.counts.end()
        kept, size = self._passes.kept, self._regions.raster
        self.frames = {answer: of.frame for answer, of in kept.items()}
        weights = weights_of(self._grid, self._blending)
        view = View(UPRIGHT, self._regions.patch, self._grid, self._sampling, weights, kept)
        regions = [Region(place, [view]) for place in self._regions]
        prediction = RegionPrediction(size, regions, self._regions, self._blending)
        side = 2 * prediction.block_side()
        seen = Size(min(side, size.height), min(side, size.width))
        for answer in self._wanted:
            prediction.best(answer, Window(0, 0, seen), META)
        torch.empty(beside, dtype=torch.uint8, device=META)


def _largest_group(grid: PatchGrid) -> Sequence[PatchIndex]:
    """The patches of the group that reaches over the most rows of the grid."""
    places = grid.places
    found = [[places[k] for k in of] for of in groups_of(len(places))]
    return max(found, key=lambda of: (of[-1][0] - of[0][0], len(of)))


class _ContentlessPixels:
    """Thumbnails and patches of the right sizes."""

    def __init__(self, config: ModelConfig, settings: Settings) -> None:
        self._config = config
        self._settings = settings

    def thumbnail(self) -> Tensor:
        return self._pixels(1, self._config.framing.thumbnail_size)

    def patches(self, indices: Sequence[int]) -> SeenPatches:
        pixels = self._pixels(len(indices), self._config.framing.patch_size)
        return SeenPatches(list(indices), [], pixels)

    def _pixels(self, number: int, side: int) -> Tensor:
        return torch.empty(
            number,
            self._config.normalization.bands,
            side,
            side,
            dtype=dtype_of(self._settings),
            device=self._settings.device,
        )


class _Nowhere:
    """A scratch that keeps nothing."""

    spare = 0

    def __init__(self, frame: torch.Size) -> None:
        self.frame = frame

    @property
    def classes(self) -> int:
        return self.frame[0]

    def write(self, patches: Sequence[int], scores: Tensor) -> None:
        pass

    def add(self, patches: Sequence[int], scores: Tensor) -> None:
        pass

    def read(self, patch: int, device: torch.device) -> Tensor:
        del patch
        return torch.empty(self.frame, device=device)

    def close(self) -> None:
        pass


class Counts:
    """Counts operations phase by phase; every batch takes what one takes.

    Attributes:
        total: Tells how many there were so far; by default none.
    """

    def __init__(self) -> None:
        self.total: Callable[[], int] = lambda: 0
        self._phases: dict[str, list[tuple[int, int]]] = {}
        self._all = 0

    def note(self, phase: str, done: int, total: int) -> None:
        """Told as `Passes.run` goes on."""
        del total  # of those that are run
        self._phases.setdefault(phase, []).append((done, self.total()))

    def end(self) -> None:
        """Everything has run."""
        self._all = self.total()

    def of_all(self, patches: int) -> int:
        """Of so many patches, by what the last batch took beyond the ones before it."""
        extra = 0
        for noted in self._phases.values():
            if len(noted) < 2:
                continue
            (before, less), (done, more) = noted[-2:]
            extra += (more - less) * (patches - done) // max(1, done - before)
        return self._all + extra
