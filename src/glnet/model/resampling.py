"""The small matrices by which maps move between frames.

Whatever moves a map between the thumbnail's frame, a patch's frame and the levels of a pyramid is
linear and acts on rows and columns independently: ``Y = A X Bᵀ``. This file builds ``A`` (rows
out, rows in) and ``B`` (columns out, columns in) one axis at a time, in float64 on the CPU, and
nothing else; what they are applied to is in `exchange.py` and `sharing.py`.

Along an axis: the raster has ``length`` pixels, a patch covers pixels ``[start, start + extent)``,
the global branch's map has ``cells`` cells for the whole raster and the patch's map has
``samples`` cells for the patch.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

Sampling = Literal["exact", "published"]
"""How maps of the two branches are brought into each other's frame.

- exact: every sample at its true place; merging is the normalised transpose of cropping;
- published: the rounded crops and the divisor of the published code, for published checkpoints.
"""


@dataclass(frozen=True, slots=True)
class Axis:
    """The patches along one axis of a raster: where they start, how long they are.

    Attributes:
        length: Pixels of the raster along the axis.
        extent: Pixels of a patch.
        starts: First pixel of every patch.
    """

    length: int
    extent: int
    starts: tuple[int, ...]


def bilinear(source: int, target: int) -> Tensor:
    """Resize an axis bilinearly, ``align_corners=False``, without antialiasing: (target, source).

    Rows sum to 1. Equal to `torch.nn.functional.interpolate` along one axis.
    """
    return _tents((torch.arange(target, dtype=torch.float64) + 0.5) * source / target - 0.5, source)


def bilinear_step(source: int, target: int, like: Tensor) -> Tensor:
    """The bilinear matrix with the dtype and on the device of a map; remembered, do not change."""
    return _bilinear_on(source, target, like.dtype, like.device)


def forget_bilinear_steps() -> None:
    """Let go of what is remembered, so that it is made, and counted, once more."""
    _bilinear_on.cache_clear()


@lru_cache(maxsize=64)
def _bilinear_on(source: int, target: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    # Remembered beyond a prediction: training must be able to save it for its gradients.
    with torch.inference_mode(False):
        return bilinear(source, target).to(device, dtype)


def shifted(matrix: Tensor, offset: int) -> Tensor:
    """Row j of the answer is row ``j + offset`` of the matrix, zeros where there is none.

    This is a convolution's tap with its zero padding; the matrix is (..., rows, columns).
    """
    answer = torch.zeros_like(matrix)
    if abs(offset) >= matrix.shape[-2]:
        return answer
    if offset >= 0:
        answer[..., : matrix.shape[-2] - offset, :] = matrix[..., offset:, :]
    else:
        answer[..., -offset:, :] = matrix[..., :offset, :]
    return answer


def crop_matrices(axis: Axis, cells: int, samples: int, sampling: Sampling) -> Tensor:
    """Matrices from the whole global map to each patch's map: (patches, samples, cells).

    Rows sum to 1, so a constant map stays constant (section 3.2.2, global to local).
    """
    crop = _exact_crop if sampling == "exact" else _published_crop
    return torch.stack([crop(axis, start, cells, samples) for start in axis.starts])


def merge_matrices(axis: Axis, cells: int, samples: int, sampling: Sampling) -> Tensor:
    """Matrices from each patch's map into the global map: (patches, cells, samples).

    The merged map is the sum over patches of ``M_row F M_columnᵀ``: the divisor is already in the
    matrices, since patches form a full grid and it is an outer product (section 3.2.2, local to
    global).
    """
    if sampling == "published":
        return _published_merge(axis, cells, samples)
    spread = torch.stack([_exact_spread(axis, start, cells, samples) for start in axis.starts])
    return spread / spread.sum(dim=(0, 2))[:, None]


def _places(axis: Axis, start: int, cells: int, samples: int) -> Tensor:
    """Where the centres of a patch's cells lie in the global map, in cells, clamped to it."""
    pixel = start + (torch.arange(samples, dtype=torch.float64) + 0.5) * axis.extent / samples
    return (pixel * cells / axis.length - 0.5).clamp(0, cells - 1)


def _tents(places: Tensor, cells: int, half_width: float = 1.0) -> Tensor:
    """Triangle weights of every place on every cell: (places, cells)."""
    distance = (places.clamp(0, cells - 1)[:, None] - torch.arange(cells)).abs()
    return (1 - distance / half_width).clamp_min(0)


def _exact_crop(axis: Axis, start: int, cells: int, samples: int) -> Tensor:
    return _tents(_places(axis, start, cells, samples), cells)


def _exact_spread(axis: Axis, start: int, cells: int, samples: int) -> Tensor:
    """The crop's transpose: (cells, samples).

    Where the thumbnail is finer than the patches (rasters of few patches), a cell could lie
    between two samples and hear nothing; there the triangle widens to the distance of the samples,
    which makes the merge a bilinear enlargement.
    """
    step = axis.extent / samples * cells / axis.length
    return _tents(_places(axis, start, cells, samples), cells, max(1.0, step)).T


def _published_rows(axis: Axis, start: int, cells: int) -> tuple[int, int]:
    """First cell and number of cells of a patch, rounded half to even as in the published code."""
    number = max(1, round(cells * (axis.extent / axis.length)))
    first = min(round(start / axis.length * cells), cells - 1)
    return first, min(number, cells - first)


def _published_crop(axis: Axis, start: int, cells: int, samples: int) -> Tensor:
    first, number = _published_rows(axis, start, cells)
    matrix = torch.zeros(samples, cells, dtype=torch.float64)
    matrix[:, first : first + number] = bilinear(number, samples)
    return matrix


def _published_merge(axis: Axis, cells: int, samples: int) -> Tensor:
    merge = torch.zeros(len(axis.starts), cells, samples, dtype=torch.float64)
    count = torch.zeros(axis.length, dtype=torch.float64)
    for patch, start in enumerate(axis.starts):
        first, number = _published_rows(axis, start, cells)
        merge[patch, first : first + number] = bilinear(samples, number)
        count[start : start + axis.extent] += 1
    divisor = torch.nn.functional.interpolate(count[None, None], size=cells, mode="linear")[0, 0]
    return merge / divisor[:, None]
