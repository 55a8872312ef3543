"""An executor over the workers of an engine: a model ready on all of them, for one image or many.

Nothing here knows of Ray, so that tests can have workers that lose, double and mix up their work.
"""

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from glnet.closing import Closing
from glnet.cluster.crew import ClusterCrew
from glnet.cluster.engine import Engine
from glnet.cluster.pieces import (
    Ready,
    Scene,
    Sight,
)
from glnet.cluster.pool import TICK_S, Effort, Pool
from glnet.cluster.worker import versions
from glnet.errors import ClusterError, ConfigurationError
from glnet.inference.executing import Image
from glnet.inference.settings import Settings
from glnet.inference.source import Source
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model
from glnet.raster import Raster


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


def _absolute(image: str) -> str:
    """The same file for workers that run in another folder."""
    if image.startswith("/vsi") or "://" in image:
        return image
    return str(Path(image).absolute())


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
