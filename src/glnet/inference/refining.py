"""Which parts of a raster are refined: all of it, or the boxes of a coarse-to-fine model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from glnet.geometry import Size, Window
from glnet.inference.coarse import CoarseAnswer
from glnet.inference.regions import RegionRule, Regions, regions_of
from glnet.model.checkpoint import Model
from glnet.model.config import ModelConfig
from glnet.raster import Raster, overview_for

FROM_PIXELS = "all pixels"
"""Of what a thumbnail is a mean where no overview serves."""


class Part(NamedTuple):
    """A part of a raster that is refined, and its regions."""

    place: Window
    regions: Regions


def parts_of(
    raster: Size, boxes: Sequence[Window] | None, config: ModelConfig, rule: RegionRule
) -> list[Part]:
    """Where a raster is refined: in boxes, or, where there are none to be, all of it.

    Raises:
        ConfigurationError: As `regions_of`.
    """
    places = [Window(0, 0, raster)] if boxes is None else boxes
    return [Part(place, regions_of(place.size, config, rule)) for place in places]


def patches_of(model: Model, parts: Sequence[Part]) -> int:
    """How many patches the local branch sees of so many parts."""
    if model.network.local is None:
        return 0
    grid = model.config.framing.grid
    return sum(len(of.grid) * len(grid(of.grid.patch)) for _, of in parts)


@dataclass(frozen=True, eq=False)
class Refined:
    """What of a raster is refined.

    Attributes:
        raster: Its size.
        coarse: What the coarse branch says, where there is one.
        parts: Which parts.
    """

    raster: Size
    coarse: CoarseAnswer | None
    parts: Sequence[Part]

    @property
    def boxes(self) -> tuple[Window, ...] | None:
        """Of a coarse-to-fine model; None where all is refined."""
        return None if self.coarse is None else self.coarse.boxes

    @property
    def context(self) -> str:
        """What the global branch sees at once, and why, in one line."""
        boxes = self.boxes
        if boxes is None:
            return self.parts[0].regions.why
        share = sum(box.size.area for box in boxes) / self.raster.area
        found = f"{len(boxes)} boxes" if len(boxes) != 1 else "1 box"
        words = f"{found} around the foreground, {share:.0%} of the image"
        largest = max(self.parts, key=lambda of: of.place.size.area, default=None)
        if largest is not None and len(largest.regions.grid) > 1:
            words += f", the largest one in {largest.regions.why}"
        return words

    def thumbnail_source(self, raster: Raster, model: Model) -> str | None:
        """What thumbnails are made of; None for a model that sees none."""
        if model.network.context is None:
            return None
        parts = self.parts
        if len(parts) != 1 or len(parts[0].regions.grid) > 1 or parts[0].place.size != self.raster:
            return FROM_PIXELS  # Edges of parts are seldom those of an overview's pixels.
        times = overview_for(raster, model.config.framing.thumbnail)
        return FROM_PIXELS if times is None else f"the file's overview, {times} times smaller"
