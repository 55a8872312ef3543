"""One worker: it keeps the model loaded, opens images itself, and answers what it is asked.

Nothing here knows of Ray: `ray_engine.py` makes it an actor.
"""

import os
import platform
import socket
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import glnet
from glnet.cluster.pieces import (
    Again,
    Array,
    Blank,
    Failure,
    GroupFound,
    Look,
    Method,
    Numbers,
    Part,
    Ready,
    Scene,
    Sight,
    bytes_of,
)
from glnet.errors import ClusterError, GLNetError, InputMismatchError
from glnet.inference.coarse import coarse_planes
from glnet.inference.executing import UnitFound, UnitScores
from glnet.inference.groups import FormSeer
from glnet.inference.heap import share_one_heap
from glnet.inference.machine import explained_memory
from glnet.inference.passes import wanted_first
from glnet.inference.predictor import Predictor
from glnet.inference.settings import Settings, quiet
from glnet.inference.source import opened
from glnet.inference.units import Unit, UnitPlace, Work
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model
from glnet.raster import ArrayRaster, Raster

OPEN_SCENES = 2
"""Images that a worker keeps open: it mostly goes on with one of the last ones."""

STORE_PIECES = 2
"""Of a piece of work, one is on its way while another one is made."""


def versions() -> dict[str, str]:
    """Of what results depend on, and what must be the same for values to travel."""
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "glnet": glnet.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


class Worker:
    """A process that sees.

    Args:
        threads: With how many it computes.
        store_bytes: What the smallest of the object stores may hold.
        owns_process: Whether nothing else runs in this process.
    """

    def __init__(
        self, threads: int, store_bytes: int | None = None, *, owns_process: bool = False
    ) -> None:
        torch.set_num_threads(threads)
        if owns_process:
            share_one_heap()
        self._store_bytes = store_bytes
        self._predictor: Predictor | None = None
        self._open: OrderedDict[str, _OpenScene] = OrderedDict()

    def load(self, model: Model | str, settings: Settings) -> Ready | Failure:
        """Have a model ready."""
        try:
            self._close_all()
            self._predictor = Predictor(model, settings)
            return Ready(
                socket.gethostname(),
                os.getpid(),
                versions(),
                self._predictor.digest(),
                self._predictor.settings.precision,
            )
        except GLNetError as error:
            return _failure(error)

    def call(
        self, method: Method, scene: Scene, pixels: Array | None, *words: object
    ) -> object | Failure | Blank:
        """Answer a question about an image; pixels are given where it is no file."""
        if self._predictor is None:  # It died while it had nothing to do, unnoticed.
            return Blank()
        try:
            with torch.inference_mode():
                seen = self._scene(scene, pixels)
                with explained_memory(scene.image, seen.settings):
                    found: object = getattr(seen, method)(*words)
                return self._fitting(scene, found)
        except GLNetError as error:
            self._forget(scene)
            return _failure(error)

    def _scene(self, scene: Scene, pixels: Array | None) -> "_OpenScene":
        if scene.key not in self._open:
            while len(self._open) >= OPEN_SCENES:
                self._open.popitem(last=False)[1].close()
            assert self._predictor is not None
            self._open[scene.key] = _OpenScene(scene, pixels, self._predictor)
        self._open.move_to_end(scene.key)
        return self._open[scene.key]

    def _forget(self, scene: Scene) -> None:
        if scene.key in self._open:
            self._open.pop(scene.key).close()

    def _close_all(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def _fitting(self, scene: Scene, found: object) -> object:
        """What was found, if it may travel.

        Raises:
            ClusterError: If it does not fit the object store.
        """
        least = STORE_PIECES * bytes_of(found)
        if self._store_bytes is not None and least > self._store_bytes:
            raise ClusterError(
                f"what is found of one piece of {scene.image} does not fit Ray's object store of "
                f"{self._store_bytes} bytes; start every node with at least "
                f"--object-store-memory {least}"
            )
        return found


class _OpenScene:
    """An open image; its methods are the questions (`Method`)."""

    def __init__(self, scene: Scene, pixels: Array | None, predictor: Predictor) -> None:
        own = predictor.settings
        self.settings = replace(scene.settings, device=own.device, precision=own.precision)
        self._files = ExitStack()
        self._predictor = predictor
        self._raster = self._opened(scene, pixels)
        form = predictor.formed_for(self.settings).form
        self._work = Work(predictor.model, self.settings, scene.wanted, form)
        self._place: UnitPlace | None = None
        self._unit: Unit | None = None
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


def _failure(error: GLNetError) -> Failure:
    """An error, with the worker's host, unless it is of the image and would be one everywhere."""
    where = f"the worker on {socket.gethostname()}"
    is_of_all = isinstance(error, InputMismatchError) or str(error).startswith(where)
    return Failure(type(error).__name__, str(error) if is_of_all else f"{where}: {error}")
