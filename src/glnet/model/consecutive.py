"""Two consecutive convolutions as one: neither the wide map between them nor its cost is there.

Two zero-padded 3x3 convolutions without an activation between them are one linear map. Along one
axis the taps ``a`` of the second and ``b`` of the first shift by ``S_a S_b``. That is the shift by
``a + b``, except where a tap steps out of the frame and the other one back in: the zero padding
between the two convolutions swallows it, and ``S_1 S_-1`` lacks the last cell, ``S_-1 S_1`` the
first. So seven walks are all there are: five shifts, and the first and the last cell alone.
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from glnet.model.resampling import shifted
from glnet.model.sharing import Heard, HearingConv2d, convolve, mix_channels, move, taps_apart

SHIFTS = (-2, -1, 0, 1, 2)
FIRST, LAST = 5, 6
"""Walks: the five shifts, then the first cell alone, then the last."""


class ConsecutiveConv2d(nn.Module):
    """What two consecutive zero-padded 3x3 convolutions compute, up to rounding.

    Args:
        walks: Per input map (own, heard 1, ...), the weights (K, C, 7, 7) of all pairs of walks.
        inner_bias: (K, 3, 3), what the first convolution's bias adds under every tap of the second.
        bias: (K,), the second convolution's.
    """

    def __init__(self, walks: Sequence[Tensor], inner_bias: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.walks = nn.ParameterList(nn.Parameter(of, requires_grad=False) for of in walks)
        self.inner_bias = nn.Parameter(inner_bias, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)

    @classmethod
    def of(cls, first: HearingConv2d, weight: Tensor, bias: Tensor) -> Self:
        """A hearing 3x3 convolution followed by a 3x3 one of weight (K, C, 3, 3), bias (K,)."""
        pairs = _pairs().to(weight.device)
        second = weight.detach().double()
        parts = torch.split(first.weight.detach().double(), list(first.channels), dim=1)
        walks = [
            torch.einsum("kmad,mcbe,iab,jde->kcij", second, part, pairs, pairs) for part in parts
        ]
        inner = torch.einsum("kmad,m->kad", second, first.bias.detach().double())
        return cls([of.to(weight.dtype) for of in walks], inner.to(weight.dtype), bias.detach())

    def forward(self, own: Tensor, *heard: Heard) -> Tensor:
        """From (N, own, H, W) and all heard maps to (N, K, H, W)."""
        answer = _in_frame(own, self.walks[0])
        for weight, other in zip(list(self.walks)[1:], heard, strict=True):
            answer += _heard(other, weight)
        inside = answer.new_ones(1, 1, *answer.shape[-2:])
        return answer + convolve(inside, self.inner_bias[:, None], self.bias)


def _pairs() -> Tensor:
    """Which walks (7) the taps of both convolutions (3, 3) make together."""
    pairs = torch.zeros(7, 3, 3, dtype=torch.float64)
    for second in range(3):
        for first in range(3):
            pairs[second + first, second, first] = 1
    pairs[FIRST, 0, 2] = -1
    pairs[LAST, 2, 0] = -1
    return pairs


def _walked(matrix: Tensor) -> Tensor:
    """The matrix under every walk, side by side: (N, rows, 7 columns)."""
    first, last = torch.zeros_like(matrix), torch.zeros_like(matrix)
    first[..., 0, :] = matrix[..., 0, :]
    last[..., -1, :] = matrix[..., -1, :]
    return torch.cat([*(shifted(matrix, offset) for offset in SHIFTS), first, last], dim=-1)


def _heard(heard: Heard, weight: Tensor) -> Tensor:
    if heard.rows is None or heard.columns is None:
        return _in_frame(heard.map, weight)
    mixed = mix_channels(heard.map, taps_apart(weight))
    return move(mixed, _walked(heard.rows), _walked(heard.columns), len(weight))


def _in_frame(of: Tensor, weight: Tensor) -> Tensor:
    """A map of this frame: an ordinary 5x5 convolution, and what its edges lack."""
    answer = convolve(of, weight[..., :5, :5])
    answer[..., 0, :] += _along(of[..., 0, :], weight[..., FIRST, :])
    answer[..., -1, :] += _along(of[..., -1, :], weight[..., LAST, :])
    answer[..., 0] += functional.conv1d(of[..., 0], weight[..., :5, FIRST], padding=2)
    answer[..., -1] += functional.conv1d(of[..., -1], weight[..., :5, LAST], padding=2)
    return answer


def _along(line: Tensor, weight: Tensor) -> Tensor:
    """The same of one line: (N, C, L) by (K, C, 7) to (N, K, L)."""
    answer = functional.conv1d(line, weight[..., :5], padding=2)
    answer[..., 0] += line[..., 0] @ weight[..., FIRST].T
    answer[..., -1] += line[..., -1] @ weight[..., LAST].T
    return answer
