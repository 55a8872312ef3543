"""Workers in threads of this process that are late, lose their work or do it twice, by a seed."""

import pickle
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock

import numpy as np

from glnet.cluster.executor import ClusterExecutor
from glnet.cluster.pieces import Array, Failure, Method, Ready, Scene
from glnet.cluster.pool import MOST_TRIES, Hand, LostError
from glnet.cluster.worker import Worker
from glnet.inference.settings import Settings
from glnet.inference.source import Source
from glnet.inference.units import UnitPlace
from glnet.model.checkpoint import Model
from glnet.model.forms import answers_of


class FakeEngine:
    """An `Engine` without processes.

    Args:
        workers: How many.
        seed: Of what happens.
        losses: The probability that a call is lost, half of the time after the work; no piece of
            work is lost so often that it is given up.
        store_bytes: Of the object store.
        poison: A method that kills every worker that is asked for it.
        change: What becomes of what a worker says of itself.
    """

    threads = 1
    device = "cpu"

    def __init__(
        self,
        workers: int = 2,
        *,
        seed: int = 0,
        losses: float = 0.0,
        store_bytes: int | None = None,
        poison: Callable[[Method, Scene], bool] = lambda *_: False,
        change: Callable[[int, Ready], Ready] = lambda _, ready: ready,
    ) -> None:
        self.asked: list[tuple[Method, tuple[object, ...]]] = []
        self.losses = losses
        self.poison = poison
        self._workers = workers
        self._seed = seed
        self._store_bytes = store_bytes
        self._change = change
        self._lost: Counter[bytes] = Counter()
        self._lock = Lock()

    def loses(self, method: Method, words: Sequence[object], chance: random.Random) -> bool:
        """Whether a call is lost."""
        piece = pickle.dumps((method, words[1:]))
        with self._lock:
            is_lost = chance.random() < self.losses and self._lost[piece] < MOST_TRIES - 1
            self._lost[piece] += is_lost
        return is_lost

    def start(self, model: Model | str, settings: Settings) -> Sequence[tuple[Hand, Ready]]:
        started: list[tuple[Hand, Ready]] = []
        for number in range(self._workers):
            worker = Worker(1, self._store_bytes)
            ready = worker.load(model, settings)
            if isinstance(ready, Failure):
                raise ready.error
            _warm(worker)
            hand = _FakeHand(self, worker, number, random.Random(self._seed * 97 + number))
            started.append((hand, self._change(number, replace(ready, host=f"host{number}"))))
        return started

    def put(self, value: Array) -> Array:
        return value

    def dismiss(self) -> None:
        pass

    def stop(self) -> None:
        pass


def _warm(worker: Worker) -> None:
    """Have all branches made now: torch.fx bears one thread at a time, and workers are some."""
    predictor = worker._predictor
    assert predictor is not None
    pixels = np.ones((64, 64, predictor.model.bands), np.uint8)
    wanted = answers_of(predictor.model.network)[-1:]
    scene = Scene("warm", "nothing", Source(), predictor.settings, wanted)
    worker.call("whole", scene, pixels, UnitPlace(None, None, None))
    if predictor.model.config.coarse_to_fine is not None:
        worker.call("coarse", scene, pixels, worker.call("planes", scene, pixels))
    worker._forget(scene)


class _FakeHand:
    def __init__(
        self, engine: FakeEngine, worker: Worker, number: int, chance: random.Random
    ) -> None:
        self.name = f"worker {number + 1}"
        self.trouble = ""
        self._engine = engine
        self._worker = worker
        self._chance = chance

    def call(self, method: Method, scene: Scene, words: Sequence[object]) -> object:
        self._engine.asked.append((method, tuple(words)))
        if self._engine.poison(method, scene):
            raise LostError("poisoned")
        time.sleep(self._chance.uniform(0, 0.004))
        is_lost = self._engine.loses(method, words, self._chance)
        if is_lost and self._chance.random() < 0.5:
            raise LostError("before the work")
        # As it travels between processes.
        pixels, *others = pickle.loads(pickle.dumps(words))
        found = self._worker.call(method, pickle.loads(pickle.dumps(scene)), pixels, *others)
        if is_lost:
            raise LostError("after the work")
        answer: object = pickle.loads(pickle.dumps(found))
        return answer

    def revive(self, is_over: Callable[[], bool]) -> bool:
        return not is_over()


def fake_executor(workers: int = 2, **how: object) -> ClusterExecutor:
    return ClusterExecutor(FakeEngine(workers, **how))  # type: ignore[arg-type]
