"""An image as a worker sees it: opened by itself, and asked about piece by piece."""

import socket
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.cluster.pieces import Again, Array, GroupFound, Look, Numbers, Part, Scene, Sight
from glnet.errors import ClusterError
from glnet.inference.coarse import coarse_planes
from glnet.inference.executing import UnitFound, UnitScores
from glnet.inference.groups import FormSeer
from glnet.inference.passes import wanted_first
from glnet.inference.predictor import Predictor
from glnet.inference.settings import quiet
from glnet.inference.source import opened
from glnet.inference.units import Unit, UnitPlace, Work
from glnet.model.answers import Answer
from glnet.raster import ArrayRaster, Raster


class OpenScene:
    """An open image; its methods are the questions (`Method`).

    Args:
        scene: What it is called, and how it is seen.
        pixels: Of the image where it is no file.
        predictor: The model that sees it.

    Attributes:
        settings: The driver's, with this worker's device and precision.

    Raises:
        ClusterError: If it cannot be seen from here, or is another one than the driver's.
        RasterError: If it cannot be opened.
        ConfigurationError: If something is asked of it that its kind does not have.
        OutputError: If there is no room for what opening it takes.
    """

    def __init__(self, scene: Scene, pixels: Array | None, predictor: Predictor) -> None:
        own = predictor.settings
        self.settings = replace(scene.settings, device=own.device, precision=own.precision)
        self._files = ExitStack()
        self._predictor = predictor
        self._raster = self._opened(scene, pixels)
        form = predictor.formed_for(self.settings).form
        self._work = Work(predictor.model, self.settings, scene.wanted, form)
        self._place: UnitPlace | None = None
        self._seer: FormSeer | None = None
        self._look: Look | None = None

    def _opened(self, scene: Scene, pixels: Array | None) -> Raster:
        if pixels is not None:
            return ArrayRaster(pixels)
        if not _may_open(scene.image):
            raise ClusterError(
                f"the worker on {socket.gethostname()} cannot see {scene.image}; put it where all "
                "machines of the cluster see it under this name"
            )
        framing = self._predictor.model.config.framing
        folder = Path(tempfile.gettempdir())
        side = framing.patch_size * framing.reduction
        found = self._files.enter_context(opened(scene.image, scene.source, folder, side, quiet))
        _require_same(scene, found.raster)
        return found.raster

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def planes(self) -> NDArray[np.float32]:
        """The thumbnail for the coarse branch."""
        return coarse_planes(self._predictor.model, self._raster)

    def coarse(self, planes: NDArray[np.float32]) -> tuple[Numbers, Array]:
        """The coarse branch's logits, and where there are measurements."""
        look = self._predictor.coarse_look(planes.copy(), self.settings)
        return Numbers.of(look.logits), look.valid

    def thumbnail(self, place: UnitPlace) -> NDArray[np.float32]:
        """The thumbnail of a unit."""
        return self._at(place).read_thumbnail()

    def look(self, place: UnitPlace, thumbnail: NDArray[np.float32]) -> Look:
        """What the context branch says of a unit."""
        self._looking(place, thumbnail)
        assert self._look is not None
        return self._look

    def group(
        self,
        place: UnitPlace,
        thumbnail: NDArray[np.float32] | None,
        group: range,
        sure: frozenset[int],
    ) -> GroupFound:
        """What the local branch says of a group of a unit's patches."""
        seer, kept = self._looking(place, thumbnail), _Kept()
        (found,) = seer.groups([group], sure, kept.write, lambda _: None)
        return GroupFound(
            found.skipped,
            found.holed,
            () if found.sums is None else tuple(found.sums.patches),
            None if found.sums is None else [Part.of(of) for of in found.sums.maps],
            kept.scores,
        )

    def again(self, place: UnitPlace, thumbnail: Array, merged: Sequence[Array]) -> Again:
        """What the refined branch says of a unit, which hears all patches."""
        look = self.look(place, thumbnail)
        maps = [torch.from_numpy(of.copy()).to(self.settings.device) for of in merged]
        assert self._seer is not None
        whole = self._seer.hear_again(look.features, maps)
        self._place = self._seer = None  # Its context is gone.
        return Again(*(None if of is None else Numbers.of(of) for of in (whole.logits, whole.far)))

    def whole(self, place: UnitPlace) -> UnitFound:
        """All passes over a unit."""
        unit, places = self._at(place), dict[Answer, _Kept]()

        def keep(answer: Answer, frame: torch.Size) -> "_KeptScores":
            return _KeptScores(frame, places.setdefault(answer, _Kept()), answer)

        passes = unit.passes(keep)
        self._place = self._seer = None
        passes.run(unit.seer(unit.read_thumbnail), self.settings.patch_batch)
        scores = {
            answer: UnitScores(*kept.scores[answer])
            for answer, kept in places.items()
            if kept.scores
        }
        return UnitFound(passes.position, scores)

    def _at(self, place: UnitPlace) -> Unit:
        return Unit(self._work, place.of(self._raster))

    def _looking(self, place: UnitPlace, thumbnail: NDArray[np.float32] | None) -> FormSeer:
        """What sees a unit, once the context branch has seen it."""
        if self._seer is not None and self._place == place:
            return self._seer
        self._place = self._seer = None  # gives its room to the next one
        unit = self._at(place)
        seer = unit.seer(lambda: np.array(thumbnail, np.float32))
        if thumbnail is not None:
            work = self._work
            whole = seer.first(wanted_first(work.form, work.wanted, unit.refine))
            shapes = tuple(tuple(tuple(of.shape) for of in layer) for layer in whole.features)
            logits = None if whole.logits is None else Numbers.of(whole.logits)
            self._look = Look(shapes, logits)
        self._place, self._seer = place, seer
        return seer


class _Kept:
    """Scores of some patches, in memory."""

    def __init__(self) -> None:
        self._of: dict[Answer, dict[int, Tensor]] = {}

    def write(self, answer: Answer, patches: Sequence[int], scores: Tensor) -> None:
        known = self._of.setdefault(answer, {})
        known.update(zip(patches, scores.detach().float().cpu(), strict=True))

    def add(self, answer: Answer, patches: Sequence[int], scores: Tensor) -> None:
        for patch, of in zip(patches, scores.detach().float().cpu(), strict=True):
            self._of[answer][patch] = self._of[answer][patch] + of

    @property
    def scores(self) -> dict[Answer, tuple[list[int], NDArray[np.float32]]]:
        return {
            answer: (list(known), torch.stack(list(known.values())).numpy())
            for answer, known in self._of.items()
        }


class _KeptScores:
    """A place for a unit's scores in memory (`PatchScores`)."""

    spare = 0

    def __init__(self, frame: torch.Size, kept: _Kept, answer: Answer) -> None:
        self.frame = frame
        self._kept = kept
        self._answer = answer

    @property
    def classes(self) -> int:
        return self.frame[0]

    def write(self, patches: Sequence[int], scores: Tensor) -> None:
        self._kept.write(self._answer, patches, scores)

    def add(self, patches: Sequence[int], scores: Tensor) -> None:
        self._kept.add(self._answer, patches, scores)

    def read(self, patch: int, device: torch.device) -> Tensor:
        raise NotImplementedError

    def close(self) -> None:
        pass


def _require_same(scene: Scene, raster: Raster) -> None:
    """Refuse another image than the driver's.

    Raises:
        ClusterError: If it is another one, as far as sizes tell.
    """
    seen = Sight.of(raster, scene.image)
    if scene.sight not in {None, seen}:
        raise ClusterError(
            f"the worker on {socket.gethostname()} sees another {scene.image} ({seen}, here "
            f"{scene.sight}); put the same one on all machines"
        )


def _may_open(image: str) -> bool:
    """Whether a file is there, where that can be told."""
    return image.startswith("/vsi") or "://" in image or Path(image).exists()
