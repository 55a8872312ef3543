"""The pyramid against the same layers written plainly, on level sizes of any kind."""

from collections.abc import Collection

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from glnet.model.features import BranchFeatures, HeardFeatures, Layer, Levels, hear_features
from glnet.model.fpn import FPN
from glnet.model.sharing import Heard
from tests.model.axes import few
from tests.model.slow_sampling import brought

CHANNELS = (2, 3, 4, 5)
WIDTH, REFINED = 4, 3

sizes = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=4, max_size=4)
layers = st.sampled_from(([], [Layer.REFINED], [Layer.BACKBONE, Layer.SMOOTH], list(Layer)))


@few
@given(sizes, sizes, layers, st.booleans(), st.integers(0, 2**31))
def test_fpn_equals_its_layers_written_plainly(
    own: list[tuple[int, int]],
    other: list[tuple[int, int]],
    listens_to: list[Layer],
    is_in_frame: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    fpn = FPN(CHANNELS, WIDTH, REFINED, listens_to).double()
    backbone = _levels(CHANNELS, own)
    heard = _heard(own, own if is_in_frame else other, is_in_frame)

    features, fused = fpn(backbone, heard)

    expected, expected_fused = _plain(fpn, backbone, heard, listens_to)
    torch.testing.assert_close(features, expected)
    torch.testing.assert_close(fused, expected_fused)


def _levels(channels: Collection[int], sizes: list[tuple[int, int]]) -> Levels:
    return tuple(
        torch.randn(1, of, *size, dtype=torch.float64)
        for of, size in zip(channels, sizes, strict=True)
    )


def _heard(
    own: list[tuple[int, int]], other: list[tuple[int, int]], is_in_frame: bool
) -> HeardFeatures:
    features = BranchFeatures(
        _levels(CHANNELS, other),
        _levels([WIDTH] * 4, other),
        _levels([WIDTH] * 4, other),
        _levels([REFINED] * 4, other),
    )

    def bring(level: int, of: Tensor) -> Heard:
        rows, columns = (
            torch.randn(1, here, there, dtype=torch.float64)
            for here, there in zip(own[level], of.shape[-2:], strict=True)
        )
        return Heard(of) if is_in_frame else Heard(of, rows, columns)

    return hear_features(features, bring)


def _to_size(of: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(of, like.shape[-2:], mode="bilinear")


def _plain(
    fpn: FPN, backbone: Levels, heard: HeardFeatures, listens_to: Collection[Layer]
) -> tuple[BranchFeatures, Tensor]:
    def layer(name: str, own: Levels, hears: Layer) -> Levels:
        maps = []
        for level, (conv, of) in enumerate(zip(getattr(fpn, name), own, strict=True)):
            there = [brought(getattr(heard, hears.value)[level])] if hears in listens_to else []
            together, padding = torch.cat([of, *there], dim=1), conv.weight.shape[-1] // 2
            maps.append(functional.conv2d(together, conv.weight, conv.bias, padding=padding))
        return tuple(maps)

    c2, c3, c4, c5 = layer("lateral", backbone, Layer.BACKBONE)
    p5 = c5
    p4 = c4 + _to_size(p5, c4)
    p3 = c3 + _to_size(p4, c3)
    p2 = c2 + _to_size(p3, c2)
    smooth = layer("smooth", (p2, p3, p4, p5), Layer.TOP_DOWN)
    refined = layer("refine", smooth, Layer.SMOOTH)
    others = [brought(of) for of in heard.refined] if Layer.REFINED in listens_to else []
    fused = torch.cat([_to_size(of, refined[0]) for of in (*refined, *others)], dim=1)
    if fpn.fuse is not None:
        fused = functional.conv2d(fused, fpn.fuse.weight, fpn.fuse.bias, padding=1)
    return BranchFeatures(backbone, (p2, p3, p4, p5), smooth, refined), fused


def test_a_listening_fpn_refuses_to_hear_nothing() -> None:
    fpn = FPN(CHANNELS, WIDTH, REFINED, [Layer.REFINED])
    backbone = tuple(torch.zeros(1, of, 2, 2) for of in CHANNELS)

    with pytest.raises(ValueError, match="nothing was given to hear"):
        fpn(backbone, None)
