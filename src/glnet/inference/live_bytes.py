"""The bytes of all tensors there are, counted operation by operation."""

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what operations make while this is on, until it is let go.

    What was there before, such as weights, is not counted, nor is what libraries take within one
    operation.

    Args:
        device: Only tensors on devices of this type; all by default.

    Attributes:
        now: Bytes at this moment.
        peak: The most at any moment.
    """

    def __init__(self, device: str | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._device = device
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        """Run an operation, and count the storages of its answers that are new."""
        del types
        for of in tree_leaves((args, kwargs)):
            if isinstance(of, Tensor):
                self._meet(of.untyped_storage())
        made = func(*args, **(kwargs or {}))
        for of in tree_leaves(made):
            if isinstance(of, Tensor) and self._device in {None, of.device.type}:
                self._count(of.untyped_storage())
        return made

    def _meet(self, storage: torch.UntypedStorage) -> None:
        """What comes in from elsewhere is not new when a view of it goes out."""
        key = storage._cdata
        if key not in self._known:
            self._known.add(key)
            weakref.finalize(storage, self._known.discard, key)

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known or not size:
            return
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


@contextmanager
def uncollected() -> Iterator[None]:
    """Python collects cycles of objects at moments that hang on all that ran before; not here."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
