"""Where a model's patches lie on a raster, for those who show them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from glnet.geometry import PatchGrid, Size, Window
from glnet.inference.refining import Part, parts_of
from glnet.inference.regions import RegionRule
from glnet.model.config import ModelConfig
from glnet.model.config_file import read_config

Placed = tuple[Window, PatchGrid]
"""A part of a raster that is whole to the network, and the patches in it, from its corner on."""


def placed_grids(parts: Sequence[Part], config: ModelConfig) -> list[Placed]:
    """The patches of every region of every part; none for a model that sees no patches."""
    if config.architecture.branches == "global":
        return []
    return [
        (region.moved(part.place.row, part.place.column), config.framing.grid(region.size))
        for part in parts
        for region in part.regions.grid
    ]


def grids_of_model(folder: str | Path) -> Callable[[Size], list[Placed]]:
    """Says for rasters where a model's patches lie if it refines all of them.

    Raises:
        CheckpointError: If the folder holds no model.
    """
    config = read_config(folder)
    return lambda size: placed_grids(parts_of(size, None, config, RegionRule()), config)
