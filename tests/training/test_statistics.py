"""Running statistics move once per optimiser step, whatever comes in which order."""

import copy
import itertools
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from glnet.training.statistics import StepStatistics


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4, momentum=0.3))


def norms(of: nn.Module) -> list[nn.BatchNorm2d]:
    return [norm for norm in of.modules() if isinstance(norm, nn.BatchNorm2d)]


def portions(number: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, 3, 8, 8, generator=generator) * (k + 1) + k for k in range(number)]


def after_a_step(of: nn.Module, seen: list[Tensor]) -> dict[str, Tensor]:
    statistics = StepStatistics([of])
    statistics.begin()
    for pixels in seen:
        of(pixels)
    statistics.finish()
    return dict(of.named_buffers())


def test_one_portion_per_step_moves_them_as_torch_does() -> None:
    ours, theirs = network(), network()

    for pixels in portions():
        after_a_step(ours, [pixels])
        theirs(pixels)

    torch.testing.assert_close(dict(ours.named_buffers()), dict(theirs.named_buffers()))


def test_the_order_of_portions_does_not_matter() -> None:
    seen = [
        after_a_step(network(), [portions()[k] for k in order])
        for order in itertools.permutations(range(3))
    ]

    for of in seen[1:]:
        torch.testing.assert_close(of, seen[0])


def test_several_portions_move_them_as_far_as_torch_would_to_their_mean() -> None:
    start, each = network(), []
    for pixels in portions():
        one = copy.deepcopy(start)
        norms(one)[0].momentum = None  # torch's word for: take what came
        one(pixels)
        each.append(one.get_buffer("1.running_mean").clone())

    moved = after_a_step(start, portions())["1.running_mean"]

    mean = torch.stack(each).mean(0)
    expected = (1 - (1 - 0.1) ** 3) * mean  # they start at 0
    torch.testing.assert_close(moved, expected)


def _sent(device: nn.Module, statistics: StepStatistics) -> list[Tensor]:
    """What a device would send to the others, found out on a copy."""
    _, rehearsal = copy.deepcopy((device, statistics))
    sent: list[Tensor] = []

    def send(value: Tensor) -> Tensor:
        sent.append(value)
        return value

    rehearsal.finish(send)
    return sent


def _answering(totals: Iterator[Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda _: next(totals)


@pytest.mark.parametrize("shares", [(1, 2), (3, 0), (0, 3)])
def test_two_devices_come_to_what_one_comes_to(shares: tuple[int, int]) -> None:
    alone = after_a_step(network(), portions())
    devices = [network(), network()]
    statistics = [StepStatistics([of]) for of in devices]
    first, _ = shares
    for of, kept, seen in zip(
        devices, statistics, (portions()[:first], portions()[first:]), strict=True
    ):
        kept.begin()
        for pixels in seen:
            of(pixels)

    sent = [_sent(of, kept) for of, kept in zip(devices, statistics, strict=True)]
    for kept in statistics:
        totals = iter([ours + theirs for ours, theirs in zip(*sent, strict=True)])
        kept.finish(_answering(totals))

    for of in devices:
        torch.testing.assert_close(dict(of.named_buffers()), alone)


def test_a_step_without_portions_leaves_them() -> None:
    of = network()
    of(portions()[0])
    before = {name: value.clone() for name, value in of.named_buffers()}

    torch.testing.assert_close(after_a_step(of, []), before)


def test_what_is_in_evaluation_mode_stays() -> None:
    of = network()
    norms(of)[0].eval()

    moved = after_a_step(of, portions())

    assert not moved["1.running_mean"].any()
    assert moved["2.running_mean"].any()


def test_momentum_is_what_it_was() -> None:
    of = network()

    after_a_step(of, portions())

    assert [norm.momentum for norm in norms(of)] == [0.1, 0.3]
