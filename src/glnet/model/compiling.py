"""A backbone that torch.compile makes code for; where it cannot, the backbone runs as it is."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Compiling:
    """Has networks compiled, and remembers what became of it.

    Attributes:
        failure: Why they run as they are after all, in one line; None while nothing has failed.
    """

    def __init__(self) -> None:
        self.failure: str | None = None

    def of(self, network: nn.Module) -> "CompiledNetwork":
        """The same network, compiled when it first runs."""
        return CompiledNetwork(network, self)


class CompiledNetwork(nn.Module):
    """A network that is compiled for the largest batch it has met.

    A smaller batch, such as the last one of an image, runs as it is: a compilation for its size
    would take longer than it gains.

    Args:
        network: Where it is to compute; its pixels are of one size, but for the batch.
        compiling: Told what fails.
    """

    def __init__(self, network: nn.Module, compiling: Compiling) -> None:
        super().__init__()
        self.network = network
        self._compiling = compiling
        self._compiled: Callable[[Tensor], object] | None = None
        self._largest = 0

    def forward(self, pixels: Tensor) -> object:
        """Turn (N, bands, H, W) into what the network makes of it."""
        if len(pixels) < self._largest or self._compiling.failure is not None:
            return self.network(pixels)
        self._largest = len(pixels)
        try:
            return self._run_compiled(pixels)
        except Exception as error:  # compilers raise what they like
            self._compiling.failure = _first_line(error)
        return self.network(pixels)

    def _run_compiled(self, pixels: Tensor) -> object:
        if self._compiled is None:
            # What is compiled is no module, as that would hold the weights under a second name. Not
            # dynamic: torch would make code for any size as soon as it meets a second one.
            self._compiled = torch.compile(self._run, dynamic=False)
        return self._compiled(pixels)

    def _run(self, pixels: Tensor) -> object:
        return self.network(pixels)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
