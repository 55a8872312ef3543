"""A convolution that hears is the plain one on the concatenated maps."""

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from glnet.model.resampling import Axis, crop_matrices
from glnet.model.sharing import Heard, HearingConv2d
from tests.model import slow_sampling
from tests.model.axes import few
from tests.model.slow_sampling import brought

sides = st.integers(1, 7)
kernels = st.sampled_from((1, 3))


@st.composite
def heard_maps(draw: st.DrawFn) -> list[tuple[int, int, int] | None]:
    """Channels and size of every heard map; no size where it is in the frame already."""
    shape = st.tuples(st.integers(1, 3), sides, sides)
    return draw(st.lists(st.one_of(st.none(), shape), max_size=3))


def _number(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def _heard(shape: tuple[int, int, int] | None, batch: int, height: int, width: int) -> Heard:
    if shape is None:
        return Heard(_number(batch, 2, height, width))
    channels, rows, columns = shape
    down, across = _number(batch, height, rows).detach(), _number(batch, width, columns).detach()
    return Heard(_number(batch, channels, rows, columns), down, across)


def _plain(conv: HearingConv2d, own: Tensor, heard: Sequence[Heard]) -> Tensor:
    together = torch.cat([own, *map(brought, heard)], dim=1)
    padding = conv.weight.shape[-1] // 2
    return functional.conv2d(together, conv.weight, conv.bias, padding=padding)


@few
@given(heard_maps(), kernels, st.integers(1, 2), sides, sides, st.integers(0, 2**31))
def test_hearing_equals_convolving_the_concatenation_gradients_included(
    shapes: list[tuple[int, int, int] | None],
    kernel: int,
    batch: int,
    height: int,
    width: int,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    own = _number(batch, 2, height, width)
    heard = [_heard(shape, batch, height, width) for shape in shapes]
    conv = HearingConv2d(2, [of.map.shape[1] for of in heard], 3, kernel).double()
    torch.nn.init.normal_(conv.bias)
    inputs = [own, *(of.map for of in heard), conv.weight, conv.bias]
    towards = torch.randn(batch, 3, height, width, dtype=torch.float64)

    answer = conv(own, *heard)

    expected = _plain(conv, own, heard)
    torch.testing.assert_close(answer, expected)
    found = torch.autograd.grad((answer * towards).sum(), inputs)
    wanted = torch.autograd.grad((expected * towards).sum(), inputs)
    for of, by in zip(found, wanted, strict=True):
        torch.testing.assert_close(of, by)


@pytest.mark.parametrize("cells", [1, 2, 3, 20])
@pytest.mark.parametrize("out", [3, 11])
def test_few_and_many_cells_and_channels_out_go_different_ways_to_one_answer(
    cells: int, out: int
) -> None:
    torch.manual_seed(cells)
    own, heard = _number(2, 8, 12, 16), [_heard((8, 5, cells), 2, 12, 16)]
    conv = HearingConv2d(8, [8], out, 3).double()
    torch.nn.init.normal_(conv.bias)
    inputs = [own, heard[0].map, conv.weight, conv.bias]
    towards = torch.randn(2, out, 12, 16, dtype=torch.float64)

    answer, expected = conv(own, *heard), _plain(conv, own, heard)

    torch.testing.assert_close(answer, expected)
    found = torch.autograd.grad((answer * towards).sum(), inputs)
    wanted = torch.autograd.grad((expected * towards).sum(), inputs)
    for of, by in zip(found, wanted, strict=True):
        torch.testing.assert_close(of, by)


def test_one_matrix_is_that_of_every_patch() -> None:
    one = _heard((8, 5, 2), 1, 12, 16)
    assert one.rows is not None
    assert one.columns is not None
    of, own = _number(3, 8, 5, 2), _number(3, 8, 12, 16)
    conv = HearingConv2d(8, [8], 3, 3).double()

    answer = conv(own, Heard(of, one.rows, one.columns))

    each = Heard(of, one.rows.expand(3, -1, -1), one.columns.expand(3, -1, -1))
    torch.testing.assert_close(answer, conv(own, each))


@few
@given(kernels, st.integers(0, 2**31))
def test_hearing_a_published_crop_equals_cutting_resizing_and_convolving(
    kernel: int, seed: int
) -> None:
    torch.manual_seed(seed)
    rows, columns = Axis(300, 124, (0, 59, 118, 176)), Axis(380, 124, (0, 64, 128, 192, 256))
    own, context = _number(1, 2, 16, 16), _number(1, 3, 16, 16)
    conv = HearingConv2d(2, [3], 4, kernel).double()

    answer = conv(
        own,
        Heard(
            context,
            crop_matrices(rows, 16, 16, "published")[1:2],
            crop_matrices(columns, 16, 16, "published")[4:5],
        ),
    )

    cut = slow_sampling.published_crop(rows, columns, context[0], (1, 4))
    there = functional.interpolate(cut[None], (16, 16), mode="bilinear")
    together = torch.cat([own, there], dim=1)
    expected = functional.conv2d(together, conv.weight, conv.bias, padding=kernel // 2)
    torch.testing.assert_close(answer, expected)


@few
@given(heard_maps().filter(bool), kernels)
def test_own_part_and_heard_part_add_up(
    shapes: list[tuple[int, int, int] | None], kernel: int
) -> None:
    own = _number(2, 2, 5, 4)
    heard = [_heard(shape, 2, 5, 4) for shape in shapes]
    conv = HearingConv2d(2, [of.map.shape[1] for of in heard], 3, kernel).double()

    parts = conv.own_part(own) + conv.heard_part(*heard)

    torch.testing.assert_close(parts, conv(own, *heard))


def test_resampled_writes_a_heard_map_out() -> None:
    heard = _heard((3, 4, 5), 2, 6, 7)

    torch.testing.assert_close(heard.resampled(), brought(heard))


class _Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the largest tensor that any operation makes."""

    numbers = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        answer = func(*args, **(kwargs or {}))
        if isinstance(answer, Tensor):
            self.numbers = max(self.numbers, answer.numel())
        return answer


def _largest() -> _Largest:
    return _Largest()  # type: ignore[no-untyped-call]


def _papers_layer() -> tuple[HearingConv2d, Tensor, Heard]:
    """P2 of a 508 px patch in a 2448 px image; on the meta device nothing is computed."""
    with torch.device("meta"):
        heard = Heard(torch.empty(1, 256, 29, 29), torch.empty(1, 127, 29), torch.empty(1, 127, 29))
        return HearingConv2d(256, [256], 256, 3), torch.empty(1, 256, 127, 127), heard


def test_hearing_a_small_map_costs_little_more_than_not_hearing() -> None:
    conv, own, heard = _papers_layer()

    with FlopCounterMode(display=False) as hearing:
        conv(own, heard)
    with FlopCounterMode(display=False) as plain:
        _plain(conv, own, [heard])
    with FlopCounterMode(display=False) as deaf:
        conv.own_part(own)

    assert hearing.get_total_flops() < 0.6 * plain.get_total_flops()
    assert hearing.get_total_flops() < 1.2 * deaf.get_total_flops()


def test_hearing_builds_nothing_of_the_concatenations_size() -> None:
    conv, own, heard = _papers_layer()

    with _largest() as hearing:
        conv(own, heard)
    with _largest() as plain:
        _plain(conv, own, [heard])

    assert plain.numbers >= 512 * 127 * 127
    assert hearing.numbers <= 256 * 127 * 127


def test_a_new_convolution_starts_like_torchs_own() -> None:
    conv = HearingConv2d(20, [30], 40, 3)

    bound = 1 / math.sqrt(50 * 9)
    weight = conv.weight.detach()
    assert float(weight.abs().max()) == pytest.approx(bound, rel=1e-3)
    assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert set(conv.state_dict()) == {"weight", "bias"}


def test_hearing_convolutions_refuse_other_kernels_and_other_numbers_of_maps() -> None:
    with pytest.raises(ValueError, match="1x1 or 3x3, got 5"):
        HearingConv2d(2, [], 3, 5)
    with pytest.raises(ValueError, match="expected 1 heard maps, got 0"):
        HearingConv2d(2, [2], 3, 1)(torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match="expected 1 heard maps, got 2"):
        HearingConv2d(2, [2], 3, 1).heard_part(*[Heard(torch.zeros(1, 2, 4, 4))] * 2)
