"""A convolution that hears another branch.

The paper concatenates another branch's map to a layer's input (section 3.2.2). Since
``conv(concat(own, heard)) = conv_own(own) + conv_heard(heard)``, and since resampling acts on
space where a 1x1 mix acts on channels, the heard part is mixed at the heard map's own few rows and
only then brought to this branch's frame. Nothing upsampled or concatenated is ever built; the
answer and its gradients are those of the plain form.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from glnet.model.resampling import shifted

FEW_CHANNELS = 10
"""Up to so many channels out, mixing first is the faster way (measured on a CPU, 512 in)."""


class Heard(NamedTuple):
    """A map of another frame and the matrices that bring it here: ``rows map columnsᵀ``.

    Attributes:
        map: (N, C, S, T).
        rows: (N, H, S), or (1, H, S) for all alike, or None where the map is already in this frame.
        columns: (N, W, T), or as with rows.
    """

    map: Tensor
    rows: Tensor | None = None
    columns: Tensor | None = None

    def resampled(self) -> Tensor:
        """The map in this branch's frame, written out: (N, C, H, W)."""
        if self.rows is None or self.columns is None:
            return self.map
        return _down(_across(self.map, self.columns), self.rows)


class HearingConv2d(nn.Module):
    """An ordinary convolution of 1x1 or 3x3 whose input channels come from several frames.

    Equal to a zero-padded convolution of ``concat(own, heard 1, heard 2, ...)`` with every heard
    map brought to the size of ``own`` first. The weight is that convolution's plain weight.

    Args:
        own: Channels of the branch's own map.
        heard: Channels of every heard map, in order; empty for a branch that hears nobody.
        out: Channels out.
        kernel: 1 or 3.

    Raises:
        ValueError: If the kernel is neither 1 nor 3.
    """

    def __init__(self, own: int, heard: Sequence[int], out: int, kernel: int) -> None:
        super().__init__()
        if kernel not in (1, 3):
            raise ValueError(f"a hearing convolution is 1x1 or 3x3, got {kernel}")
        self.channels = (own, *heard)
        self.weight = nn.Parameter(torch.empty(out, sum(self.channels), kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, own: Tensor, *heard: Heard) -> Tensor:
        """Convolve (N, own, H, W) and all heard maps to (N, out, H, W).

        Raises:
            ValueError: If the number of heard maps is not the one it was built for.
        """
        weights = self._weights(1 + len(heard))
        answer = convolve(own, weights[0], self.bias)
        for weight, other in zip(weights[1:], heard, strict=True):
            answer += hear(other, weight)  # in place: another map of this size would cost its room
        return answer

    def own_part(self, own: Tensor) -> Tensor:
        """What the own map adds, the bias included: (N, out, H, W)."""
        weight = self.weight[:, : self.channels[0]]
        return convolve(own, weight, self.bias)

    def heard_part(self, *heard: Heard) -> Tensor:
        """What the heard maps add, without the bias: (N, out, H, W)."""
        weights = self._weights(1 + len(heard))[1:]
        parts = [hear(other, weight) for weight, other in zip(weights, heard, strict=True)]
        return torch.stack(parts).sum(dim=0) if len(parts) > 1 else parts[0]

    def _weights(self, maps: int) -> tuple[Tensor, ...]:
        if maps != len(self.channels):
            raise ValueError(f"expected {len(self.channels) - 1} heard maps, got {maps - 1}")
        return torch.split(self.weight, list(self.channels), dim=1)


def convolve(own: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """An ordinary zero-padded convolution of odd sides: (N, out, H, W).

    To few channels, such as classes, channels mix first and the taps are added up after: libraries
    convolve to so few at half the speed.
    """
    out, _, kernel, _ = weight.shape
    if kernel == 1 or out > FEW_CHANNELS:
        return functional.conv2d(own, weight, bias, padding=kernel // 2)
    mixed = mix_channels(own, taps_apart(weight.flip(2, 3)))
    answer = functional.fold(mixed.flatten(2), own.shape[-2:], kernel, padding=kernel // 2)
    return answer if bias is None else answer + bias.to(answer.dtype)[:, None, None]


def hear(heard: Heard, weight: Tensor) -> Tensor:
    """Convolve a heard map in this branch's frame with zero padding: (N, out, H, W).

    The weight is (out, C, k, k). Channels mix at the map's own rows, and at its own columns too if
    these are few; the taps' shifts, which carry the zero padding, act together with the resampling.
    """
    rows, columns = heard.rows, heard.columns
    out, _, kernel, _ = weight.shape
    if rows is None or columns is None:
        return functional.conv2d(heard.map, weight, padding=kernel // 2)
    if kernel == 1:  # No tap reaches beside its cell, so mixing may come before any resampling.
        return Heard(mix_channels(heard.map, weight.flatten(1)), rows, columns).resampled()
    if _has_few_columns(heard.map, columns):
        mixed = mix_channels(heard.map, taps_apart(weight))
        return move(mixed, _taps(rows, kernel), _taps(columns, kernel), out)
    mixed = torch.unflatten(_mix_in_columns(heard.map, columns, weight), 1, (out, kernel))
    return _down(mixed.flatten(2, 3), _taps(rows, kernel))


def taps_apart(weight: Tensor) -> Tensor:
    """A convolution's weight (out, C, k, l) as one that only mixes channels: (out k l, C)."""
    return weight.permute(0, 2, 3, 1).flatten(0, 2)


def move(mixed: Tensor, rows: Tensor, columns: Tensor, out: int) -> Tensor:
    """Bring maps that were mixed for every tap apart to their places, and add up: (N, out, H, W).

    Args:
        mixed: (N, out k l, S, T), as mixed by `taps_apart`.
        rows: (N or 1, H, k S): the way of each of the k taps, side by side.
        columns: (N or 1, W, l T).
        out: Channels of the answer.
    """
    down, across = rows.shape[-1] // mixed.shape[-2], columns.shape[-1] // mixed.shape[-1]
    taps = torch.unflatten(mixed, 1, (out * down, across))
    beside = taps.transpose(2, 3).flatten(3)  # (N, out k, S, l T)
    placed = torch.unflatten(_across(beside, columns), 1, (out, down))
    return _down(placed.flatten(2, 3), rows)


def hear_mixed(heard: Heard, kernel: int) -> Tensor:
    """`hear` for a map that was mixed by `taps_apart` in its own frame: (N, out, H, W).

    Raises:
        ValueError: If there is no way into this frame.
    """
    if heard.rows is None or heard.columns is None:
        raise ValueError("a mixed map is brought to its place by matrices; there are none")
    out = heard.map.shape[1] // kernel**2
    return move(heard.map, _taps(heard.rows, kernel), _taps(heard.columns, kernel), out)


def _has_few_columns(of: Tensor, columns: Tensor) -> bool:
    """Whether mixing first takes half the multiply-adds; if not, rearranging would cost more."""
    channels, cells, width = of.shape[1], of.shape[-1], columns.shape[-2]
    return 2 * cells * (channels + width) < channels * width


def _mix_in_columns(of: Tensor, columns: Tensor, weight: Tensor) -> Tensor:
    """Bring (N, C, S, T) to this frame's columns, then mix a row's taps: (N, out ky, S, W)."""
    taps = weight.transpose(1, 2).flatten(0, 1)[:, :, None]  # (out ky, C, 1, kx)
    return functional.conv2d(_across(of, columns), taps, padding=(0, weight.shape[-1] // 2))


def mix_channels(of: Tensor, weight: Tensor) -> Tensor:
    """Mix the channels of (N, C, S, T) by (out, C): a 1x1 convolution, (N, out, S, T).

    As a matrix product: on a CPU that is up to twice as fast as the library's convolution.
    """
    lines = torch.bmm(weight.expand(len(of), -1, -1), of.flatten(2))
    return torch.unflatten(lines, 2, of.shape[2:])


def _across(of: Tensor, columns: Tensor) -> Tensor:
    """Resample (N, C, S, T) along its rows: (N, C, S, W)."""
    lines = torch.bmm(of.flatten(1, 2), columns.transpose(1, 2).expand(len(of), -1, -1))
    return torch.unflatten(lines, 1, of.shape[1:3])


def _down(of: Tensor, rows: Tensor) -> Tensor:
    """Resample (N, C, S, W) along its columns: (N, C, H, W).

    Patch by patch, or for all at once where they have the same matrix: so the matrix is applied to
    every channel as it lies, and nothing is rearranged.
    """
    channels = of.shape[1]
    if len(rows) == 1:
        answer = torch.bmm(rows.expand(len(of) * channels, -1, -1), of.flatten(0, 1))
        return torch.unflatten(answer, 0, of.shape[:2])
    each = zip(rows, of.unbind(), strict=True)
    return torch.stack([torch.bmm(by.expand(channels, -1, -1), one) for by, one in each])


def _taps(matrix: Tensor, kernel: int) -> Tensor:
    """The matrix under every tap's shift, side by side: (N, rows, k columns)."""
    offsets = range(-(kernel // 2), kernel // 2 + 1)
    return torch.cat([shifted(matrix, offset) for offset in offsets], dim=2)
