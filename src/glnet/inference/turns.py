"""In which ways a raster is laid before the network sees it."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from glnet.raster import UPRIGHT, Turn

Turns = Literal["none", "flips", "quarters", "all"]
"""In which ways a raster is laid before the network sees it; the scores are averaged."""

TURNS: Mapping[Turns, tuple[Turn, ...]] = {
    "none": (UPRIGHT,),
    "flips": (UPRIGHT, Turn(0, mirrored=True), Turn(2), Turn(2, mirrored=True)),
    "quarters": tuple(Turn(quarters) for quarters in range(4)),
    "all": tuple(Turn(quarters, mirrored) for mirrored in (False, True) for quarters in range(4)),
}
"""Each is a group: what turns the raster by one of them only changes their order."""


def turned(maps: Tensor, turn: Turn) -> Tensor:
    """`Turn.apply` for tensors: the last two axes."""
    maps = torch.rot90(maps, turn.quarters, dims=(-2, -1))
    return maps.flip(-1) if turn.mirrored else maps
