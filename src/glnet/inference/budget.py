"""The fastest way to run a prediction within a memory that somebody names."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import torch

from glnet.errors import ConfigurationError
from glnet.geometry import Size
from glnet.inference.estimate import Estimate, estimate
from glnet.inference.host_memory import NOTHING, Beside
from glnet.inference.settings import Settings
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
DECIMAL_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

SPARE_BYTES = 4 * 2**20
"""By how much this program itself may be larger when it is called again."""

ALLOCATOR_SHARE = 0.1
"""Of a GPU's memory, what torch's allocator needs beside tensors: pieces that fit nothing."""


def parsed_bytes(text: str) -> int:
    """A size as people write it: ``2GiB``, ``1.5 GB``, ``800M`` (binary, as MiB), ``1000000``.

    Raises:
        ConfigurationError: If it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise ConfigurationError(f"memory is a number and a unit, such as 2GiB, got '{text}'")
    units = DECIMAL_UNITS if (match[3] or "").upper() == "B" else UNITS
    return int(Fraction(match[1]) * units[match[2].upper()])


class Fitting:
    """Settings within their budget, image by image; what fits a larger image is not sought again.

    Args:
        model: The network may be without weights.
        settings: Resolved, with ``memory`` or ``host_memory``; where there is neither, they fit.
        wanted: Which answers of every image are kept; the model's own by default.
    """

    def __init__(self, model: Model, settings: Settings, wanted: Sequence[Answer] = ()) -> None:
        self._model = model
        self._settings = settings
        self._wanted = wanted
        self._known: list[tuple[Size, Beside, Settings]] = []

    def of(self, name: str, size: Size, beside: Beside = NOTHING) -> Settings:
        """The same settings with the largest patch batch, up to theirs, that stays within.

        Weights that stay ready and reading ahead are given up first, as they gain less.

        Args:
            name: What to call the image in messages.
            size: Of the image.
            beside: What else is held for it, such as a file that is decoded whole.

        Raises:
            ConfigurationError: If nothing would do.
        """
        settings = self._settings
        if settings.memory is None and settings.host_memory is None:
            return settings
        for larger, held, fitted in self._known:
            fits = size.height <= larger.height and size.width <= larger.width
            if fits and beside <= held:
                return fitted
        fitted = self._sought(name, size, beside)
        self._known.append((size, beside, fitted))
        return fitted

    def _sought(self, name: str, size: Size, beside: Beside) -> Settings:
        last: Estimate | None = None
        for candidate in _candidates(self._settings):
            last = estimate(
                self._model, size, candidate, counts=False, wanted=self._wanted, beside=beside
            )
            on_device, on_host = _needed(last)
            if _is_within(on_device, candidate.memory) and _is_within(
                on_host, candidate.host_memory
            ):
                return candidate
        assert last is not None
        on_device, on_host = _needed(last)
        raise ConfigurationError(
            f"{name}, of {size}, needs at least "
            f"--memory {_in_mib(on_device)} and --host-memory {_in_mib(on_host + SPARE_BYTES)} "
            f"with this model on {self._settings.device}, one patch at a time"
            + ("" if self._settings.collapse else "; less without --no-collapse")
        )


def _candidates(settings: Settings) -> Iterator[Settings]:
    """From the fastest to the smallest."""
    batch = settings.patch_batch
    while batch:
        for keeps, ahead in ((True, settings.ahead), (False, settings.ahead), (False, 0)):
            yield replace(settings, patch_batch=batch, keeps_weights=keeps, ahead=ahead)
        batch //= 2


def _needed(found: Estimate) -> tuple[int, int]:
    """Bytes on the device and on the host."""
    if torch.device(found.device).type == "cpu":
        return found.device_bytes, found.host_bytes
    return round(found.device_bytes * (1 + ALLOCATOR_SHARE)), found.host_bytes


def _is_within(needed: int, budget: int | None) -> bool:
    return budget is None or needed <= budget


def _in_mib(size: int) -> str:
    return f"{-(-size // 2**20)}MiB"
