"""Running the network somewhere else than in this process: what an executor has to offer.

`glnet.cluster` has one, on Ray. Nothing here knows of it, and nothing of an image's size passes
through: workers open the image themselves, and send what they found.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from glnet.inference.coarse import CoarseLook, Remember
from glnet.inference.groups import Seer
from glnet.inference.position import Position
from glnet.inference.settings import Settings
from glnet.inference.source import Source
from glnet.inference.units import UnitPlace
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model
from glnet.raster import Raster

WHOLE_PATCHES = 64
"""A unit of up to so many patches is seen by one worker, to its end; larger ones in groups."""

Image = str | Path | NDArray[Any]
"""A file that workers open, or pixels (height, width, bands)."""


class UnitScores(NamedTuple):
    """Scores that a unit ended with.

    Attributes:
        patches: Those that have some, by their number.
        scores: Of each: (N, K, h, w), float32.
    """

    patches: Sequence[int]
    scores: NDArray[np.float32]


class UnitFound(NamedTuple):
    """What all passes over a unit have left.

    Attributes:
        position: Its last.
        scores: Of the answers that were wanted.
    """

    position: Position
    scores: Mapping[Answer, UnitScores]


class Crew(Protocol):
    """Workers that have a model, and what they are to do with one image."""

    def whole(self, units: Iterable[UnitPlace]) -> Generator[UnitFound]:
        """What is found of whole units, in their order; to be closed."""
        ...

    def seer(self, unit: UnitPlace, remember: Remember) -> Seer:
        """What sees one unit group by group.

        Args:
            unit: Which.
            remember: Where its thumbnail is kept, once a worker has read it.
        """
        ...

    def coarse(self, remember: Remember) -> CoarseLook:
        """What the coarse branch of a coarse-to-fine model says.

        Args:
            remember: Where its thumbnail is kept.
        """
        ...


class Loaded(Protocol):
    """Workers that have a model ready."""

    def facts(self) -> dict[str, object]:
        """What results depend on of the workers, by names that go into a message."""
        ...

    def crew(
        self,
        image: Image,
        raster: Raster,
        source: Source,
        settings: Settings,
        wanted: Sequence[Answer],
    ) -> Crew:
        """The workers, set to an image.

        Args:
            image: Which.
            raster: The same, as this process has opened it.
            source: How it is opened.
            settings: As they are fitted to it.
            wanted: Which answers are kept.
        """
        ...


class Executor(Protocol):
    """Who runs the network."""

    @property
    def scenes(self) -> int:
        """How many images may be at work at once."""
        ...

    def wait_until_hungry(self) -> None:
        """Return once there is work for another image."""
        ...

    def interrupt(self) -> None:
        """Tell who waits for workers that they will not answer; until a model is loaded again."""
        ...

    def here(self, settings: Settings) -> Settings:
        """The settings for what is left to this process.

        Raises:
            ConfigurationError: If they ask for what the workers have not.
        """
        ...

    def load(self, model: Model | str | Path, settings: Settings, digest: str) -> Loaded:
        """Have a model ready on all workers.

        Args:
            model: As loaded, or its folder.
            settings: As they were given.
            digest: The model's checksum.

        Raises:
            ClusterError: If workers cannot run it.
        """
        ...
