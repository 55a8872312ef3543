"""The published network written out plainly, from the words of its description alone.

It concatenates, interpolates and convolves; it knows the published names and shares no code with
the package. Slow, and only for tests. One stage, one function: `stage_1` to `stage_3`.
"""

from collections.abc import Mapping
from math import ceil
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

State = Mapping[str, Tensor]
Maps = dict[str, list[Tensor]]
"""Per layer (c, top_down, smooth, refined), levels coarsest first: C5..C2, P5..P2."""

Place = tuple[int, int]
BLOCKS = {"layer1": 3, "layer2": 4, "layer3": 6, "layer4": 3}
LATERAL = ("toplayer", "latlayer1", "latlayer2", "latlayer3")


class Seen(NamedTuple):
    maps: Maps
    fused: Tensor
    logits: Tensor


class Published(NamedTuple):
    """What is computed for an image: logits at stride 4, sums of scores at full resolution."""

    global_logits: Tensor
    local_scores: Tensor | None = None
    scores: Tensor | None = None


# Pixels, grid and places


def to_pixels(picture: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) to (1, 3, H, W) over 255."""
    return torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32)) / 255


def to_thumbnail(picture: NDArray[np.uint8], side: int) -> Tensor:
    small = Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR)
    return to_pixels(np.asarray(small))


def grid(length: int, patch: int) -> list[int]:
    number = ceil(length / patch)
    while patch - (length - patch) / (number - 1) < 50:
        number += 1
    step = (length - patch) / (number - 1)
    return [round(k * step) for k in range(number - 1)] + [length - patch]


def cut(start: int, patch: int, length: int, cells: int) -> slice:
    """The rows (or columns) of a global map that belong to a patch."""
    ratio = patch / length
    first = round(start / length * cells)
    return slice(first, first + round(cells * ratio))


# Layers


def conv(state: State, name: str, of: Tensor) -> Tensor:
    weight = state[f"{name}.weight"]
    return functional.conv2d(of, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)


def to_size(of: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(of, like.shape[-2:], mode="bilinear", align_corners=False)


def resnet50(state: State, name: str, pixels: Tensor) -> list[Tensor]:
    """C5..C2."""

    def convolve(of: Tensor, at: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.{at}.weight"]
        return functional.conv2d(of, weight, None, stride, weight.shape[-1] // 2)

    def normalise(of: Tensor, at: str) -> Tensor:
        mean, variance, weight, bias = (
            state[f"{name}.{at}.{kind}"]
            for kind in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(of, mean, variance, weight, bias, training=False, eps=1e-5)

    def bottleneck(of: Tensor, at: str, stride: int) -> Tensor:
        inner = normalise(convolve(of, f"{at}.conv1"), f"{at}.bn1").relu()
        inner = normalise(convolve(inner, f"{at}.conv2", stride), f"{at}.bn2").relu()
        inner = normalise(convolve(inner, f"{at}.conv3"), f"{at}.bn3")
        if f"{name}.{at}.downsample.0.weight" in state:
            of = normalise(convolve(of, f"{at}.downsample.0", stride), f"{at}.downsample.1")
        return (inner + of).relu()

    of = normalise(convolve(pixels, "conv1", 2), "bn1").relu()
    of = functional.max_pool2d(of, 3, 2, 1)
    levels: list[Tensor] = []
    for layer, blocks in BLOCKS.items():
        for block in range(blocks):
            stride = 2 if block == 0 and layer != "layer1" else 1
            of = bottleneck(of, f"{layer}.{block}", stride)
        levels.insert(0, of)
    return levels


def pyramid(
    state: State, fpn: str, c: list[Tensor], heard: Maps | None = None, suffix: str = ""
) -> Seen:
    """The FPN of a branch; it listens where ``heard`` has the other's maps in this frame."""

    def with_heard(own: list[Tensor], layer: str) -> list[Tensor]:
        if heard is None:
            return own
        pairs = zip(own, heard[layer], strict=True)
        return [torch.cat([of, to_size(other, of)], dim=1) for of, other in pairs]

    def layer_of(names: list[str], inputs: list[Tensor]) -> list[Tensor]:
        pairs = zip(names, inputs, strict=True)
        return [conv(state, f"{fpn}.{name}{suffix}", of) for name, of in pairs]

    lateral = layer_of([*LATERAL], with_heard(c, "c"))
    top_down = lateral[:1]
    for own in lateral[1:]:
        top_down.append(to_size(top_down[-1], own) + own)
    smooth = layer_of([f"smooth{n}_1" for n in range(1, 5)], with_heard(top_down, "top_down"))
    refined = layer_of([f"smooth{n}_2" for n in range(1, 5)], with_heard(smooth, "smooth"))
    last = with_heard(refined, "refined")
    fused = torch.cat([to_size(of, last[-1]) for of in last], dim=1)
    if heard is not None:  # this layer and `classify` have no `_ext` twin
        fused = conv(state, f"{fpn}.smooth", fused)
    maps = {"c": c, "top_down": top_down, "smooth": smooth, "refined": refined}
    return Seen(maps, fused, conv(state, f"{fpn}.classify", fused))


# The passes over an image


class Frames:
    """The patches of an image and the way between them and the thumbnail."""

    def __init__(self, picture: NDArray[np.uint8], patch: int) -> None:
        self.picture, self.patch = picture, patch
        self.height, self.width = picture.shape[:2]
        tops, lefts = grid(self.height, patch), grid(self.width, patch)
        self.places = [(top, left) for top in tops for left in lefts]

    def pixels(self, place: Place) -> Tensor:
        top, left = place
        return to_pixels(self.picture[top : top + self.patch, left : left + self.patch])

    def slices(self, place: Place, size: torch.Size) -> tuple[slice, slice]:
        top, left = place
        return (
            cut(top, self.patch, self.height, size[-2]),
            cut(left, self.patch, self.width, size[-1]),
        )

    def crop(self, of: Tensor, place: Place) -> Tensor:
        rows, columns = self.slices(place, of.shape)
        return of[:, :, rows, columns]

    def merge(self, parts: list[Tensor], like: Tensor) -> Tensor:
        canvas, count = torch.zeros_like(like), torch.zeros(1, 1, self.height, self.width)
        for place, part in zip(self.places, parts, strict=True):
            rows, columns = self.slices(place, like.shape)
            canvas[:, :, rows, columns] += to_size(part, canvas[:, :, rows, columns])
            top, left = place
            count[:, :, top : top + self.patch, left : left + self.patch] += 1
        return canvas / to_size(count, like)

    def sum_up(self, logits: list[Tensor]) -> Tensor:
        total = torch.zeros(logits[0].shape[1], self.height, self.width)
        for (top, left), of in zip(self.places, logits, strict=True):
            large = functional.interpolate(of, (self.patch, self.patch), mode="nearest")[0]
            total[:, top : top + self.patch, left : left + self.patch] += large
        return total


def stage_1(state: State, picture: NDArray[np.uint8], side: int) -> Published:
    return Published(_context(state, picture, side).logits[0])


def stage_2(state: State, picture: NDArray[np.uint8], side: int, patch: int) -> Published:
    frames, context = Frames(picture, patch), _context(state, picture, side)
    local = _local(state, frames, context)
    return _answers(state, frames, context, local)


def stage_3(
    first: State, state: State, picture: NDArray[np.uint8], side: int, patch: int
) -> Published:
    """``first`` is the file of stage 1, ``state`` that of stage 3."""
    frames, context = Frames(picture, patch), _context(first, picture, side)
    local = _local(state, frames, context)
    merged = {
        layer: [
            frames.merge([seen.maps[layer][level] for seen in local], like)
            for level, like in enumerate(levels)
        ]
        for layer, levels in context.maps.items()
    }
    c = resnet50(state, "resnet_global", to_thumbnail(picture, side))
    refined = pyramid(state, "fpn_global", c, merged, "_ext")
    return _answers(state, frames, refined, local)


def _context(state: State, picture: NDArray[np.uint8], side: int) -> Seen:
    return pyramid(
        state, "fpn_global", resnet50(state, "resnet_global", to_thumbnail(picture, side))
    )


def _local(state: State, frames: Frames, context: Seen) -> list[Seen]:
    seen = []
    for place in frames.places:
        c = resnet50(state, "resnet_local", frames.pixels(place))
        heard = {
            layer: [frames.crop(of, place) for of in levels]
            for layer, levels in context.maps.items()
        }
        seen.append(pyramid(state, "fpn_local", c, heard))
    return seen


def _answers(state: State, frames: Frames, context: Seen, local: list[Seen]) -> Published:
    aggregated = []
    for place, seen in zip(frames.places, local, strict=True):
        there = to_size(frames.crop(context.fused, place), seen.fused)
        aggregated.append(conv(state, "ensemble_conv", torch.cat([seen.fused, there], dim=1)))
    return Published(
        context.logits[0],
        frames.sum_up([seen.logits for seen in local]),
        frames.sum_up(aggregated),
    )
