"""Workers that are set to an image: what they are asked of it, in which order, what it gives."""

from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from glnet.cluster.engine import Engine
from glnet.cluster.pieces import Again, Array, GroupFound, Look, Method, Numbers, Scene
from glnet.cluster.pool import Pool
from glnet.inference.coarse import CoarseLook, Remember
from glnet.inference.executing import UnitFound
from glnet.inference.groups import Found, Tell, Write
from glnet.inference.units import UnitPlace
from glnet.model.answers import Answer
from glnet.model.forms import WholeOutput
from glnet.model.merging import Merger


class ClusterCrew:
    """The workers, set to an image (`glnet.inference.executing.Crew`)."""

    def __init__(self, engine: Engine, pool: Pool, scene: Scene, pixels: object) -> None:
        self._engine = engine
        self._pool = pool
        self._scene = scene
        self._pixels = pixels

    def submit(self, method: Method, label: str, *words: object) -> Future[object]:
        """Ask some worker."""
        words = (self._pixels, *words)
        return self._pool.submit(method, self._scene, words, f"{self._scene.image}, {label}")

    def ask(self, method: Method, label: str, *words: object) -> object:
        """Ask some worker, and wait."""
        return self._pool.result(self._scene, self.submit(method, label, *words))

    def whole(self, units: Iterable[UnitPlace]) -> Generator[UnitFound]:
        """What is found of whole units, in their order; to be closed."""
        asked = (partial(self.submit, "whole", _named(unit), unit) for unit in units)
        found = self._pool.in_order(self._scene, asked)
        return cast(Generator[UnitFound], found)

    def groups(self, asked: Iterable[Callable[[], Future[object]]]) -> Generator[GroupFound]:
        """What is found of groups, in their order; to be closed."""
        return cast(Generator[GroupFound], self._pool.in_order(self._scene, asked))

    def seer(self, unit: UnitPlace, remember: Remember) -> "ClusterSeer":
        """What sees one unit group by group."""
        return ClusterSeer(self, unit, remember)

    def put(self, value: Array) -> object:
        """An array for all workers."""
        return self._engine.put(value)

    def coarse(self, remember: Remember) -> CoarseLook:
        """What the coarse branch says."""
        label = "the thumbnail of the coarse branch"
        planes = remember(lambda: cast(NDArray[np.float32], self.ask("planes", label)))
        logits, valid = cast(tuple[Numbers, Array], self.ask("coarse", label, planes))
        return CoarseLook(logits.tensor, np.array(valid, bool))


class ClusterSeer:
    """What sees one unit on workers, group by group (`glnet.inference.groups.Seer`).

    The thumbnail is read by one worker and given to all of them; every worker finds out itself
    what the context branch says of it.
    """

    def __init__(self, crew: ClusterCrew, unit: UnitPlace, remember: Remember) -> None:
        self._crew = crew
        self._unit = unit
        self._remember = remember
        self._thumbnail: object = None

    def first(self, wanted: Collection[Answer]) -> WholeOutput:
        """As `Seer.first`; workers know what is wanted."""
        del wanted
        label = f"{_named(self._unit)}, its thumbnail"
        thumbnail = self._remember(
            lambda: cast(NDArray[np.float32], self._crew.ask("thumbnail", label, self._unit))
        )
        self._thumbnail = self._crew.put(thumbnail)
        look = cast(Look, self._crew.ask("look", label, self._unit, self._thumbnail))
        return WholeOutput(look.features, _tensor(look.logits), None)

    def groups(
        self, groups: Sequence[range], sure: frozenset[int], write: Write, tell: Tell
    ) -> Generator[Found]:
        """As `Seer.groups`."""
        del tell
        asked = (
            partial(
                self._crew.submit,
                "group",
                f"{_named(self._unit)}, patches {group.start} to {group.stop - 1}",
                self._unit,
                self._thumbnail,
                group,
                sure.intersection(group),
            )
            for group in groups
        )
        found = self._crew.groups(asked)
        try:
            for group, of in zip(groups, found, strict=True):
                for answer, (patches, scores) in of.scores.items():
                    write(answer, patches, torch.from_numpy(scores.copy()))
                yield Found(group, of.skipped, of.holed, of.sums)
                del of  # gives its room to the next one
        finally:
            found.close()

    def again(self, merger: Merger) -> WholeOutput:
        """As `Seer.again`."""
        merged = [of.numpy() for of in merger.merged_maps()]
        label = f"{_named(self._unit)}, its thumbnail with all patches"
        found = cast(Again, self._crew.ask("again", label, self._unit, self._thumbnail, merged))
        return WholeOutput(merger.shapes, _tensor(found.logits), _tensor(found.far))


def _named(unit: UnitPlace) -> str:
    """A unit in an error: where it lies."""
    row = column = 0
    place = unit.region or unit.box
    if unit.region is not None and unit.box is not None:
        row, column = unit.box.row, unit.box.column
    if place is None:
        return "the whole image"
    return (
        f"rows {row + place.row}..{row + place.row_stop}, "
        f"columns {column + place.column}..{column + place.column_stop}"
    )


def _tensor(numbers: Numbers | None) -> torch.Tensor | None:
    return None if numbers is None else numbers.tensor
