"""Crop and merge written as loops, straight from the words; nothing here builds a matrix cleverly.

Along an axis the raster has ``length`` pixels, a patch covers ``extent`` of them from ``start`` on,
the global map has ``cells`` cells and the patch's map ``samples``.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from glnet.model.resampling import Axis
from glnet.model.sharing import Heard

Floats = NDArray[np.float64]


def place(axis: Axis, start: int, sample: int, cells: int, samples: int) -> float:
    """Where the centre of a patch's cell lies among the global map's cell centres."""
    pixel = start + (sample + 0.5) * axis.extent / samples
    return min(max(pixel * cells / axis.length - 0.5, 0.0), cells - 1.0)


def exact_crop(axis: Axis, cells: int, samples: int) -> Floats:
    """(patches, samples, cells): the two bilinear weights of every sample."""
    crop = np.zeros((len(axis.starts), samples, cells))
    for patch, start in enumerate(axis.starts):
        for sample in range(samples):
            at = place(axis, start, sample, cells, samples)
            below = math.floor(at)
            crop[patch, sample, below] += 1 - (at - below)
            crop[patch, sample, min(below + 1, cells - 1)] += at - below
    return crop


def exact_merge(axis: Axis, cells: int, samples: int) -> Floats:
    """(patches, cells, samples): every cell's mean of the samples about it."""
    reach = max(1.0, axis.extent / samples * cells / axis.length)
    merge = np.zeros((len(axis.starts), cells, samples))
    for cell in range(cells):
        total = 0.0
        for patch, start in enumerate(axis.starts):
            for sample in range(samples):
                distance = abs(place(axis, start, sample, cells, samples) - cell)
                weight = max(0.0, 1 - distance / reach)
                merge[patch, cell, sample] = weight
                total += weight
        merge[:, cell] /= total
    return merge


def published_place(axis: Axis, start: int, cells: int) -> tuple[int, int]:
    """First cell and number of cells of a patch (reference, point 7)."""
    ratio = axis.extent / axis.length
    return round(start / axis.length * cells), round(cells * ratio)


def published_crop(rows: Axis, columns: Axis, of: Tensor, patch: tuple[int, int]) -> Tensor:
    """The cut of a global map (C, Hm, Wm), not yet at the local map's size."""
    top, height = published_place(rows, rows.starts[patch[0]], of.shape[-2])
    left, width = published_place(columns, columns.starts[patch[1]], of.shape[-1])
    return of[:, top : top + height, left : left + width]


def published_merge(rows: Axis, columns: Axis, maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Patch maps (patch rows, patch columns, C, h, w) to (C, *size) (reference, point 8)."""
    canvas = maps.new_zeros(maps.shape[2], *size)
    count = maps.new_zeros(rows.length, columns.length)
    for r, row in enumerate(rows.starts):
        for c, column in enumerate(columns.starts):
            top, height = published_place(rows, row, size[0])
            left, width = published_place(columns, column, size[1])
            part = functional.interpolate(maps[r, c][None], (height, width), mode="bilinear")
            canvas[:, top : top + height, left : left + width] += part[0]
            count[row : row + rows.extent, column : column + columns.extent] += 1
    return canvas / functional.interpolate(count[None, None], size, mode="bilinear")[0]


def as_tensor(of: Floats) -> Tensor:
    return torch.from_numpy(of)


def brought(heard: Heard) -> Tensor:
    """A heard map written out in this branch's frame."""
    if heard.rows is None or heard.columns is None:
        return heard.map
    return heard.rows[:, None] @ heard.map @ heard.columns[:, None].transpose(2, 3)
