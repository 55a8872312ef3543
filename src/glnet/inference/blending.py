"""How much every patch counts at a pixel that several patches, or regions, cover."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from glnet.geometry import PatchGrid

Blending = Literal["feathered", "uniform"]
"""How neighbours are blended where they overlap.

- feathered: each fades out linearly towards its border, over the overlap; weights sum to 1;
- uniform: scores are summed, as in the published code.
"""


def axis_weights(
    starts: Sequence[int], size: int, length: int, blending: Blending
) -> NDArray[np.float32]:
    """The weights of all patches along an axis: (starts, size).

    A patch's weight at a pixel is the product of its weights along both axes, since patches are a
    full grid: so products sum to 1 where the factors do.

    Args:
        starts: Where patches begin.
        size: Of a patch, in pixels.
        length: Of the raster, in pixels.
        blending: The rule.
    """
    if blending == "uniform":
        return np.ones((len(starts), size), np.float32)
    ramps = np.ones((len(starts), size))
    places = np.arange(size) + 0.5
    for k, start in enumerate(starts):
        if k > 0 and (overlap := starts[k - 1] + size - start) > 0:
            ramps[k] = np.minimum(ramps[k], places / overlap)
        if k + 1 < len(starts) and (overlap := start + size - starts[k + 1]) > 0:
            ramps[k] = np.minimum(ramps[k], places[::-1] / overlap)
    total = np.zeros(length)
    for start, ramp in zip(starts, ramps, strict=True):
        total[start : start + size] += ramp
    shares = [ramp / total[start : start + size] for start, ramp in zip(starts, ramps, strict=True)]
    return np.stack(shares).astype(np.float32)


@lru_cache(maxsize=16)
def weights_of(grid: PatchGrid, blending: Blending) -> "Weights":
    """`Weights`, made once for all regions and ways that have the same grid."""
    return Weights(grid, blending)


class Weights:
    """The weights of a grid's patches: (rows, columns) of every patch is an outer product.

    Attributes:
        rows: (row starts, patch height).
        columns: (column starts, patch width).
    """

    def __init__(self, grid: PatchGrid, blending: Blending) -> None:
        self.rows = axis_weights(grid.rows, grid.patch.height, grid.raster.height, blending)
        self.columns = axis_weights(grid.columns, grid.patch.width, grid.raster.width, blending)
