"""What an engine has to be able to do for us; nothing here knows of Ray."""

from collections.abc import Sequence
from typing import Protocol

from glnet.cluster.pieces import Array, Ready
from glnet.cluster.pool import Hand
from glnet.inference.settings import Settings
from glnet.model.checkpoint import Model


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
