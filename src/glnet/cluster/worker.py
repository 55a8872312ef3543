"""One worker: it keeps the model loaded, and images open, and answers what it is asked.

Nothing here knows of Ray: `ray_engine.py` makes it an actor.
"""

import os
import platform
import socket
from collections import OrderedDict

import numpy as np
import torch

import glnet
from glnet.cluster.open_scene import OpenScene
from glnet.cluster.pieces import Array, Blank, Failure, Method, Ready, Scene, bytes_of
from glnet.errors import ClusterError, GLNetError, InputMismatchError
from glnet.inference.heap import share_one_heap
from glnet.inference.machine import explained_memory
from glnet.inference.predictor import Predictor
from glnet.inference.settings import Settings
from glnet.model.checkpoint import Model

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
        self._open: OrderedDict[str, OpenScene] = OrderedDict()

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

    def _scene(self, scene: Scene, pixels: Array | None) -> OpenScene:
        if scene.key not in self._open:
            while len(self._open) >= OPEN_SCENES:
                self._open.popitem(last=False)[1].close()
            assert self._predictor is not None
            self._open[scene.key] = OpenScene(scene, pixels, self._predictor)
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


def _failure(error: GLNetError) -> Failure:
    """An error, with the worker's host, unless it is of the image and would be one everywhere."""
    where = f"the worker on {socket.gethostname()}"
    is_of_all = isinstance(error, InputMismatchError) or str(error).startswith(where)
    return Failure(type(error).__name__, str(error) if is_of_all else f"{where}: {error}")
