"""One raster to the network: a region of an image, laid in one way, and all that its passes need.

What is here follows from the image, the model and the settings alone, so that another process that
opens the same image finds the same patches, with the same numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.geometry import PatchGrid, Size, Window
from glnet.inference.forming import dtype_of
from glnet.inference.groups import FormSeer, Reading, SeenPatches
from glnet.inference.passes import Keep, Passes
from glnet.inference.pixels import framed, normalized, read_patch, read_thumbnail
from glnet.inference.position import Log
from glnet.inference.scratch import PatchScores
from glnet.inference.settings import Settings
from glnet.inference.sureness import refine_rule_of
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model
from glnet.model.config import ModelConfig
from glnet.model.exchange import Exchange
from glnet.model.forms import Form
from glnet.raster import Masked, Raster, RasterPart, Turn, TurnedRaster


@dataclass(frozen=True)
class UnitPlace:
    """Which part of an image is a raster to the network, and how it is laid.

    Attributes:
        box: The part of the image that is refined; None for all of it.
        region: The part of the box; None for all of it.
        turn: How that is laid; None for as it lies.
    """

    box: Window | None
    region: Window | None
    turn: Turn | None

    def of(self, image: Raster) -> Raster:
        """The raster, of an image that is open."""
        for part in (self.box, self.region):
            if part is not None:
                image = RasterPart(image, part)
        return image if self.turn is None else TurnedRaster(image, self.turn)


class Work:
    """What is to be done with rasters.

    Args:
        model: Not changed.
        settings: Resolved.
        wanted: Which answers are kept.
        form: How the network is computed.
    """

    def __init__(
        self, model: Model, settings: Settings, wanted: Sequence[Answer], form: Form
    ) -> None:
        self.model = model
        self.settings = settings
        self.wanted = tuple(wanted)
        self.form = form


class Unit:
    """One raster, and its patches.

    Args:
        work: What is to be done.
        laid: With what; it is continued by its edge where it is too small for a backbone.

    Attributes:
        laid: Its size.
        grid: Its patches.
    """

    def __init__(self, work: Work, laid: Raster) -> None:
        config = work.model.config
        self._work = work
        self._raster = framed(laid, work.model)
        self.laid: Size = laid.size
        self.grid: PatchGrid = config.framing.grid(self._raster.size)
        self.exchange = Exchange(self.grid, config.framing.sampling)
        self.refine = refine_rule_of(work.model, work.settings, self.grid)

    def read_thumbnail(self) -> NDArray[np.float32]:
        """The thumbnail, normalised: (bands, height, width).

        Raises:
            RasterError: If pixels cannot be read.
        """
        config = self._work.model.config
        found = read_thumbnail(self._raster, config.framing)
        pixels: NDArray[np.float32] = _normalized(found, config).numpy()
        return pixels

    def seer(self, thumbnail: Callable[[], NDArray[np.float32]]) -> FormSeer:
        """What runs the network over it in this process."""
        work = self._work
        pixels = _RasterPixels(self._raster, work, self.grid, thumbnail)
        reading = Reading(pixels, work.settings.patch_batch, work.settings.ahead)
        return FormSeer(work.form, self.exchange, self.grid.places, work.wanted, reading)

    def passes(
        self,
        keep: Keep,
        log: Log | None = None,
        kept: dict[Answer, PatchScores] | None = None,
    ) -> Passes:
        """Its passes, that begin where they are noted to be."""
        work = self._work
        return Passes(
            work.form,
            self.exchange,
            self.grid.places,
            work.wanted,
            keep=keep,
            log=log,
            kept=kept,
            refine=self.refine,
        )


class _RasterPixels:
    """What the network sees of a raster."""

    def __init__(
        self,
        raster: Raster,
        work: Work,
        grid: PatchGrid,
        thumbnail: Callable[[], NDArray[np.float32]],
    ) -> None:
        self._raster = raster
        self._config = work.model.config
        self._settings = work.settings
        self._windows = list(grid)
        self._thumbnail = thumbnail

    def thumbnail(self) -> Tensor:
        return self._entering([torch.from_numpy(self._thumbnail())])

    def patches(self, indices: Sequence[int]) -> SeenPatches:
        framing = self._config.framing
        measured, holed, parts = [], [], []
        for index in indices:
            found = read_patch(self._raster, self._windows[index], framing)
            if found.valid is not None and not found.valid.any():
                continue
            measured.append(index)
            if found.valid is not None:
                holed.append(index)
            parts.append(_normalized(found, self._config))
        return SeenPatches(measured, holed, self._entering(parts) if parts else None)

    def _entering(self, parts: list[Tensor]) -> Tensor:
        return torch.stack(parts).to(self._settings.device, dtype_of(self._settings))


def _normalized(found: Masked, config: ModelConfig) -> Tensor:
    return normalized(found.pixels, config.normalization, found.valid)
