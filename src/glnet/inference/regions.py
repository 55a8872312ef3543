"""What the global branch sees at once: the whole raster, or regions of the extent it knows.

The thumbnail has one size. Of a scene much larger than those that a model was trained on, it shows
everything smaller than it ever was in training. Regions are parts of the scene as large as the
images of the training, each a whole raster to the network; where they overlap they are blended.
"""

from dataclasses import dataclass
from math import ceil, log
from typing import Literal

from glnet.errors import ConfigurationError
from glnet.geometry import GridRule, PatchGrid, Size, patch_grid
from glnet.model.config import ModelConfig

Context = Literal["auto", "whole", "region"]
"""What the global branch sees at once.

- whole: the raster, whatever its size (the paper);
- region: parts of it, as large as the images of the training;
- auto: regions where a side is beyond `MOST_BEYOND_TRAINING` times that of the training's images;
  never for coarse-to-fine models, which have seen boxes of all sizes, each a whole image (section
  3.3).
"""

MOST_BEYOND_TRAINING = 2
"""Beyond it, the thumbnail shows things smaller by more than one level of the pyramid."""

OVERLAP_SHARE = 16
"""Regions overlap by this part of their side, or as patches do where that is more."""


@dataclass(frozen=True)
class RegionRule:
    """Which regions are wanted.

    Attributes:
        context: What the global branch sees at once.
        side: Of a region, in pixels; by default the sides of the largest image of the training, or
            a little more or less, so that a whole number of regions fits.
        overlap: Least overlap of neighbouring regions, in pixels; `OVERLAP_SHARE` by default.

    Raises:
        ConfigurationError: If a number is too low, or no context has that name.
    """

    context: Context = "auto"
    side: int | None = None
    overlap: int | None = None

    def __post_init__(self) -> None:
        if self.context not in {"auto", "whole", "region"}:
            raise ConfigurationError(
                f"context must be one of auto, whole, region, got {self.context}"
            )
        if self.side is not None and self.side < 1:
            raise ConfigurationError(f"a region has a side of at least 1 pixel, got {self.side}")
        if self.overlap is not None and self.overlap < 0:
            raise ConfigurationError(f"regions overlap by 0 pixels or more, got {self.overlap}")
        if self.context == "whole" and (self.side is not None or self.overlap is not None):
            raise ConfigurationError(
                "the whole image has no regions; leave out their side and overlap, or the context"
            )


@dataclass(frozen=True)
class Regions:
    """The parts of a raster that are whole rasters to the network.

    Attributes:
        grid: Where they lie; one that is the raster, for whole context.
        why: What was chosen and why, in one line.
    """

    grid: PatchGrid
    why: str


def regions_of(raster: Size, config: ModelConfig, rule: RegionRule) -> Regions:
    """Choose the regions of a raster.

    Raises:
        ConfigurationError: If regions are asked for without a side, and the model does not know
            its training's images; or a region is smaller than a patch, or not larger than the
            overlap.
    """
    wanted = _region_size(config, rule)
    if rule.context == "whole":
        return Regions(_one(raster), "whole image, as asked for")
    if rule == RegionRule() and config.coarse_to_fine is not None:
        return Regions(_one(raster), "whole image, as coarse-to-fine models see a box of any size")
    if wanted is None:
        if rule.context == "region":
            raise ConfigurationError(
                "this model does not say how large the images of its training were; name the "
                "side of a region"
            )
        return Regions(_one(raster), "whole image; the model does not know its training's images")
    if rule.context == "auto" and rule.side is None and not _is_beyond(raster, wanted):
        return Regions(
            _one(raster),
            f"whole image; its sides are at most {MOST_BEYOND_TRAINING} times those of the "
            f"training ({wanted})",
        )
    fitted = Size(min(raster.height, wanted.height), min(raster.width, wanted.width))
    overlap = _overlap(fitted, config, rule)
    if rule.side is None:
        fitted = Size(
            _even_side(raster.height, fitted.height, overlap),
            _even_side(raster.width, fitted.width, overlap),
        )
    grid = patch_grid(raster, fitted, overlap, GridRule.EXACT)
    if len(grid) == 1:
        return Regions(_one(raster), "whole image, which is one region")
    source = "as asked for" if rule.side is not None else f"the training's images: {wanted}"
    return Regions(grid, f"{len(grid)} regions of {fitted} ({source})")


def _region_size(config: ModelConfig, rule: RegionRule) -> Size | None:
    if rule.side is not None:
        patch = config.framing.patch_size * config.framing.reduction
        if rule.side < patch:
            raise ConfigurationError(
                f"a region is no smaller than a patch, which covers {patch} px, got {rule.side}"
            )
        return Size(rule.side, rule.side)
    return None if config.training_extent is None else config.training_extent.largest


def _even_side(length: int, side: int, overlap: int) -> int:
    """The side nearest to the wanted one of which a whole number, just overlapping, fits a length.

    Otherwise 5000 pixels would take three regions of 2448, twice the work of two of 2577.
    """
    if length <= side:
        return length
    most = ceil((length - overlap) / (side - overlap))
    sides = (ceil((length + (n - 1) * overlap) / n) for n in (max(1, most - 1), most))
    return min(sides, key=lambda found: abs(log(found / side)))


def _is_beyond(raster: Size, extent: Size) -> bool:
    return (
        raster.height > MOST_BEYOND_TRAINING * extent.height
        or raster.width > MOST_BEYOND_TRAINING * extent.width
    )


def _overlap(region: Size, config: ModelConfig, rule: RegionRule) -> int:
    least = min(region.height, region.width)
    if rule.overlap is not None:
        if rule.overlap >= least:
            raise ConfigurationError(
                f"regions of {region} cannot overlap by {rule.overlap}; ask for less than {least}"
            )
        return rule.overlap
    framing = config.framing
    return min(least - 1, max(framing.overlap * framing.reduction, least // OVERLAP_SHARE))


def _one(raster: Size) -> PatchGrid:
    return PatchGrid(raster, raster, (0,), (0,))
