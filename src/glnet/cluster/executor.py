"""An executor over workers of an engine: what the driver asks, in which order, and what it adds up.

Nothing here knows of Ray, so that tests can have workers that lose, double and mix up their work.
"""

import threading
import uuid
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray

from glnet.closing import Closing
from glnet.cluster.pieces import (
    Again,
    Array,
    GroupFound,
    Look,
    Method,
    Numbers,
    Ready,
    Scene,
    Sight,
)
from glnet.cluster.pool import TICK_S, Effort, Hand, Pool
from glnet.cluster.worker import versions
from glnet.errors import ClusterError, ConfigurationError
from glnet.inference.coarse import CoarseLook, Remember
from glnet.inference.executing import Image, UnitFound
from glnet.inference.groups import Found, Tell, Write
from glnet.inference.settings import Settings
from glnet.inference.source import Source
from glnet.inference.units import UnitPlace
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model
from glnet.model.exchange import Merger
from glnet.model.forms import WholeOutput
from glnet.raster import Raster


class Engine(Protocol):
    """Where workers run."""

    @property
    def threads(self) -> int:
        """With how many threads each computes."""
        ...

    @property
    def device(self) -> str:
        """On what each computes: ``cpu`` or ``cuda``."""
        ...

    def start(self, model: Model | str, settings: Settings) -> Sequence[tuple[Hand, Ready]]:
        """Workers that have a model ready.

        Raises:
            GLNetError: If one of them cannot load it.
        """
        ...

    def put(self, value: Array) -> object:
        """An array for all workers: what is to be given to calls in its place."""
        ...

    def dismiss(self) -> None:
        """Have no workers any more; who waits for one hears that it is lost."""
        ...

    def stop(self) -> None:
        """Leave where they ran."""
        ...


class ClusterExecutor(Closing):
    """Runs the network on workers (`glnet.inference.executing.Executor`).

    While it is open, this process computes with as many threads as every worker does, so that
    results are those of one process.

    Args:
        engine: Where workers run.
        tell: Told in a line when a worker is lost.

    Attributes:
        workers: What they were when they loaded the model; one that was lost is another process.
    """

    def __init__(self, engine: Engine, tell: Callable[[str], None] = lambda _: None) -> None:
        self.workers: Sequence[Ready] = ()
        self._engine = engine
        self._tell = tell
        self._pool: Pool | None = None
        self._known: tuple[str, Settings] | None = None
        self._loaded: LoadedCluster | None = None
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(engine.threads)

    @property
    def scenes(self) -> int:
        """How many images may be at work at once."""
        return 1 if self._pool is None else self._pool.workers + 1

    def wait_until_hungry(self) -> None:
        """Return once there is work for another image."""
        pause = threading.Event()
        while self._pool is not None and not self._pool.is_hungry:
            pause.wait(TICK_S)

    def interrupt(self) -> None:
        """Tell who waits for workers that they will not answer; until a model is loaded again."""
        if self._pool is not None:
            self._pool.close()

    def here(self, settings: Settings) -> Settings:
        """The settings for what is left to this process.

        Raises:
            ConfigurationError: If they ask for another device than the workers have.
        """
        asked = settings.device.partition(":")[0]
        if asked not in {"auto", self._engine.device}:
            way_out = "give workers GPUs (--gpus-per-worker 1)" if asked == "cuda" else "leave it"
            raise ConfigurationError(
                f"workers compute on {self._engine.device}, and --device {settings.device} was "
                f"asked for; {way_out}, or choose --device auto"
            )
        precision = settings.precision
        if self._engine.device != "cpu" and precision in {"auto", "float16"}:
            precision = "float32"
        return replace(settings, device="cpu", precision=precision)

    def load(self, model: Model | str | Path, settings: Settings, digest: str) -> "LoadedCluster":
        """Have a model ready on all workers; what they have ready already is not loaded again.

        Raises:
            ClusterError: If workers differ from this process, or from each other.
            GLNetError: If one of them cannot load it.
        """
        is_at_work = self._pool is not None and not self._pool.is_over
        if is_at_work and self._loaded is not None and self._known == (digest, settings):
            return self._loaded
        self.interrupt()
        if self._pool is not None:
            self._pool.join()
        given = model if isinstance(model, Model) else str(Path(model).absolute())
        started = self._engine.start(given, replace(settings, device=self._engine.device))
        self.workers = [ready for _, ready in started]
        for ready in self.workers:
            _require_alike(ready, digest, self.workers[0])
        self._pool = Pool([hand for hand, _ in started], self._tell)
        self._known = digest, settings
        self._loaded = LoadedCluster(self._engine, self._pool, self.workers[0].precision)
        return self._loaded

    @property
    def efforts(self) -> Mapping[str, Effort]:
        """What every worker did."""
        return {} if self._pool is None else self._pool.efforts

    @property
    def efforts_of_scenes(self) -> Mapping[str, Effort]:
        """What was done for every image; who waits there is this process."""
        return {} if self._pool is None else self._pool.scenes

    def close(self) -> None:
        """Have no workers any more; closing twice does nothing."""
        self.interrupt()
        self._engine.dismiss()
        if self._pool is not None:
            self._pool.join()
        self._engine.stop()
        torch.set_num_threads(self._threads_before)


class LoadedCluster:
    """Workers that have a model ready (`glnet.inference.executing.Loaded`)."""

    def __init__(self, engine: Engine, pool: Pool, precision: str) -> None:
        self._engine = engine
        self._pool = pool
        self._precision = precision

    def facts(self) -> dict[str, object]:
        """What results depend on of the workers."""
        is_on_cpu = self._engine.device == "cpu"
        return {
            "device": self._engine.device,
            "precision": self._precision,
            "number of threads": self._engine.threads if is_on_cpu else None,
        }

    def crew(
        self,
        image: Image,
        raster: Raster,
        source: Source,
        settings: Settings,
        wanted: Sequence[Answer],
    ) -> "ClusterCrew":
        """The workers, set to an image."""
        is_array = isinstance(image, np.ndarray)
        pixels = self._engine.put(image) if isinstance(image, np.ndarray) else None
        name = "the image" if is_array else _absolute(str(image))
        sight = None if is_array else Sight.of(raster, name)
        scene = Scene(uuid.uuid4().hex, name, source, settings, tuple(wanted), sight)
        return ClusterCrew(self._engine, self._pool, scene, pixels)


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


def _absolute(image: str) -> str:
    """The same file for workers that run in another folder."""
    if image.startswith("/vsi") or "://" in image:
        return image
    return str(Path(image).absolute())


def _tensor(numbers: Numbers | None) -> torch.Tensor | None:
    return None if numbers is None else numbers.tensor


def _require_alike(ready: Ready, digest: str, other: Ready) -> None:
    where = f"the worker on {ready.host}"
    for name, version in versions().items():
        if ready.versions.get(name) != version:
            raise ClusterError(
                f"{where} has {name} {ready.versions.get(name)}, this process {version}; install "
                "the same everywhere"
            )
    if ready.digest != digest:
        raise ClusterError(
            f"{where} finds another model under this name; put the same one on all machines, or "
            "where all see it"
        )
    if ready.precision != other.precision:
        raise ClusterError(
            f"{where} computes in {ready.precision}, the one on {other.host} in "
            f"{other.precision}; choose one with --precision"
        )
