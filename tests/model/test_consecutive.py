"""Two convolutions as one are the two, zero padding between them included."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from glnet.model.consecutive import ConsecutiveConv2d
from glnet.model.sharing import Heard, HearingConv2d
from tests.model.axes import few

sides = st.integers(1, 9)


def _number(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def _three_maps(height: int, width: int) -> list[Heard]:
    """One of another frame, one of this frame, one with one way for all patches."""
    return [
        Heard(_number(2, 3, 3, 4), _number(2, height, 3), _number(2, width, 4)),
        Heard(_number(2, 2, height, width)),
        Heard(_number(2, 1, 2, 2), _number(1, height, 2), _number(1, width, 2)),
    ]


@few
@given(sides, sides, st.sampled_from((2, 12)), st.integers(0, 2**31))
def test_two_convolutions_as_one_are_the_two_at_every_pixel(
    height: int, width: int, classes: int, seed: int
) -> None:
    torch.manual_seed(seed)
    first = HearingConv2d(4, [3, 2, 1], 5, 3).double()
    torch.nn.init.normal_(first.bias)
    weight, bias = _number(classes, 5, 3, 3), _number(classes)
    own, heard = _number(2, 4, height, width), _three_maps(height, width)

    found = ConsecutiveConv2d.of(first, weight, bias)(own, *heard)

    expected = functional.conv2d(first(own, *heard), weight, bias, padding=1)
    torch.testing.assert_close(found, expected)
