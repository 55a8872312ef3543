"""Workers as Ray's actors."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Protocol

from glnet.cluster.pieces import Array, Blank, Failure, Method, Ready, Scene
from glnet.cluster.pool import LONGEST_WITHOUT_S, MOST_TRIES, TICK_S, Hand, LostError
from glnet.cluster.ray_cluster import (
    LOCAL,
    Places,
    are_same,
    connect,
    explained,
    imported,
    workers_on,
)
from glnet.cluster.worker import Worker
from glnet.errors import ClusterError
from glnet.inference.settings import Settings
from glnet.model.checkpoint import Model

PAUSE_S = 1.0
"""So long a worker that could not load the model is left alone."""

SETTLING_S = 3.0
"""So long a cluster may take to say that what another driver had is free."""

PATIENCE_S = 10.0
"""When it is first told that workers are waited for; then ever more rarely."""

STORE_SHARE = 0.9
"""Of an object store, the part that may be filled."""


class RayEngine:
    """Workers on a Ray cluster (`glnet.cluster.engine.Engine`).

    Args:
        address: ``auto`` (the cluster that this machine belongs to, else a local one), ``local``,
            or ``host:port``.
        places: Which workers.
        tell: Told in a line while workers are waited for.

    Raises:
        ClusterError: If Ray is not installed, there is no cluster at the address, it does not fit
            this process, or has no room for the workers.
    """

    def __init__(
        self, address: str, places: Places, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._ray = imported()
        self._places = places
        self._tell = tell
        self._actors: Sequence[_Handle] = []
        self._workers: list[_Actor] = []
        self._owns = not self._ray.is_initialized()
        if self._owns:
            connect(self._ray, address, places)
        try:
            self._require_same(address)
            self._number = self._fitting()
        except BaseException:
            self.stop()
            raise

    @property
    def threads(self) -> int:
        """With how many threads each worker computes."""
        return self._places.threads

    @property
    def device(self) -> str:
        """On what each computes."""
        return "cuda" if self._places.gpus else "cpu"

    def start(self, model: Model | str, settings: Settings) -> Sequence[tuple[Hand, Ready]]:
        """Workers that have a model ready.

        Raises:
            ClusterError: If one of them is lost before.
            GLNetError: If one of them cannot load the model.
        """
        ray = self._ray
        with explained(ray):
            if not self._actors:
                self._actors = self._begun()
            given = ray.put(model)
            self._workers = [
                _Actor(ray, actor, number, partial(actor.load.remote, given, settings))
                for number, actor in enumerate(self._actors)
            ]
            loading = [of.loading() for of in self._workers]
            self._wait(loading)
            return [(of, of.loaded(ref)) for of, ref in zip(self._workers, loading, strict=True)]

    def _wait(self, loading: Sequence[object]) -> None:
        """Until all have loaded the model, or were lost; told while a busy cluster has no room."""
        left, patience = list(loading), PATIENCE_S
        while left:
            left = self._ray.wait(left, num_returns=len(left), timeout=patience)[1]
            patience *= 2
            if left:
                self._tell(
                    f"{len(left)} of {len(loading)} workers are waited for: they load the model, "
                    "or wait for room, if others use the cluster"
                )

    def _begun(self) -> Sequence["_Handle"]:
        """New actors."""
        places = self._places
        kind = self._ray.remote(Worker).options(
            num_cpus=places.threads,
            num_gpus=places.gpus,
            max_restarts=-1,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )
        store = self._store_bytes()
        threads = places.threads
        return [kind.remote(threads, store, owns_process=True) for _ in range(self._number)]

    def put(self, value: Array) -> object:
        """An array for all workers, once in the object store of each machine."""
        return self._ray.put(value)

    def dismiss(self) -> None:
        """Have no workers any more; who waits for one hears that it is lost."""
        for actor in self._actors if self._ray.is_initialized() else ():
            self._ray.kill(actor)
        self._actors = []

    def stop(self) -> None:
        """Leave the cluster; it ends, if it is of our own."""
        if self._owns and self._ray.is_initialized():
            self._ray.shutdown()

    def _fitting(self) -> int:
        """How many workers there will be.

        Raises:
            ClusterError: If there is no room for one, or for as many as are wanted.
        """
        nodes = [of["Resources"] for of in self._ray.nodes() if of["Alive"]]
        room = sum(workers_on(of, self._places) for of in nodes)
        wanted = self._places.workers
        if room < (wanted or 1):
            what = f"{self._places.threads} CPUs" if self._places.threads > 1 else "1 CPU"
            gpus = f" and {self._places.gpus:g} GPUs" if self._places.gpus else ""
            raise ClusterError(
                f"the cluster has room for {room} workers of {what}{gpus} each, {wanted or 1} are "
                "wanted; start more nodes, or ask for fewer (--workers, --gpus-per-worker)"
            )
        return wanted or self._free(room)

    def _free(self, room: int) -> int:
        """How many workers others leave room for; at least one, which waits for it."""
        until = time.monotonic() + SETTLING_S
        while True:
            free = min(room, workers_on(self._ray.available_resources(), self._places))
            if free == room or time.monotonic() > until:
                return max(1, free)
            time.sleep(TICK_S)

    def _require_same(self, address: str) -> None:
        """Refuse another address than that of the cluster that this process has joined before.

        Raises:
            ClusterError: If it is another one.
        """
        if self._owns or address in {"auto", LOCAL}:
            return
        joined = self._ray.get_runtime_context().gcs_address
        if not are_same(address, joined):
            raise ClusterError(
                f"this process has joined the Ray cluster at {joined}, and {address} was asked "
                "for; leave it first (ray.shutdown())"
            )

    def _store_bytes(self) -> int:
        found = [of["Resources"].get("object_store_memory", 0) for of in self._ray.nodes()]
        return int(STORE_SHARE * min(of for of in found if of))


class _Question(Protocol):
    """A method of an actor."""

    def remote(self, *words: object) -> object:
        """Ask; a reference to the answer."""
        ...


class _Handle(Protocol):
    """An actor that is a `Worker`."""

    @property
    def load(self) -> _Question:
        """`Worker.load`."""
        ...

    @property
    def call(self) -> _Question:
        """`Worker.call`."""
        ...


class _Actor:
    """One worker; ``loading`` has it load the model, and gives a reference to its answer."""

    def __init__(
        self, ray: ModuleType, actor: _Handle, number: int, load: Callable[[], object]
    ) -> None:
        self.name = f"worker {number + 1}"
        self.loading = load
        self.trouble = ""
        self._ray = ray
        self._actor = actor
        self._first: Ready | None = None

    def loaded(self, ref: object) -> Ready:
        """What it is, once it has loaded the model; asked again where it is lost meanwhile.

        Raises:
            GLNetError: If it raised one.
            RayError: If it is lost each time.
        """
        answer = self._answer(ref)
        if isinstance(answer, Failure):
            raise answer.error
        self._first = answer
        self.name = f"{self.name}, {answer.host}"
        return answer

    def _answer(self, ref: object) -> Ready | Failure:
        ray = self._ray
        deaths, until = 0, time.monotonic() + LONGEST_WITHOUT_S
        while True:
            try:
                answer: Ready | Failure = ray.get(ref)
            except ray.exceptions.RayActorError as error:
                # While Ray starts it anew, it only cannot be reached.
                deaths += isinstance(error, ray.exceptions.ActorDiedError)
                if deaths >= MOST_TRIES or time.monotonic() > until:
                    raise
                time.sleep(PAUSE_S)
                ref = self.loading()
            else:
                return answer

    def call(self, method: Method, scene: Scene, words: Sequence[object]) -> object:
        """Ask, and wait for the answer.

        Raises:
            LostError: If the worker, its machine or its answer is gone.
        """
        ray = self._ray
        try:
            found: object = ray.get(self._actor.call.remote(method, scene, *words))
        except ray.exceptions.RayTaskError:
            raise  # A mistake of ours; the worker lives.
        except ray.exceptions.RayError as error:
            raise LostError(f"{type(error).__name__}: {error}") from error
        if isinstance(found, Blank):
            raise LostError("it was started anew")
        return found

    def revive(self, is_over: Callable[[], bool]) -> bool:
        """Wait until Ray has started it anew, maybe elsewhere, and it has loaded the same model."""
        while not is_over():
            ref = self.loading()
            while not is_over() and not self._ray.wait([ref], timeout=TICK_S)[0]:
                pass
            if is_over():
                break
            self.trouble = self._trouble_of(ref)
            if not self.trouble:
                return True
            _pause(PAUSE_S, is_over)
        return False

    def _trouble_of(self, ref: object) -> str:
        """Why a worker that was started anew is of no use; empty if it is."""
        try:
            found = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            return " ".join(str(error).split())
        if isinstance(found, Failure):
            return found.text
        unlike = "" if self._first is None else found.unlike(self._first)
        return unlike and f"the worker on {found.host} came back with another {unlike}"


def _pause(seconds: float, is_over: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not is_over():
        time.sleep(TICK_S)
