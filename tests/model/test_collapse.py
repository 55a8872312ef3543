"""What collapsing a network takes, leaves alone and refuses; its answers: tests/inference."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from glnet.errors import CollapseError
from glnet.geometry import Size
from glnet.model.answers import Answer
from glnet.model.build import build_glnet
from glnet.model.collapse import CollapsedForm, collapse
from glnet.model.config import Architecture, Framing
from glnet.model.exchange import Exchange
from glnet.model.folding import folded
from glnet.model.fpn import FPN
from glnet.model.glnet import GLNet, required
from glnet.model.merging import Merger
from glnet.model.moving import moved
from tests.model.tiny import ALL_ANSWERS, tiny_model

CPU = torch.device("cpu")


def _collapsed(network: GLNet) -> CollapsedForm:
    return collapse(network, 3, CPU, torch.float32)


def test_the_network_stays_as_it_was() -> None:
    network = tiny_model().network.train()
    before = copy.deepcopy(network.state_dict())

    form = _collapsed(network)
    with torch.inference_mode():
        form.see_whole(torch.rand(1, 3, 64, 64), ALL_ANSWERS)

    assert all(module.training for module in network.modules())
    assert all(of.requires_grad for of in network.parameters())
    for name, of in network.state_dict().items():
        assert torch.equal(of, before[name])


class _Bent(nn.Module):
    """A convolution with an activation behind it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *maps: Tensor) -> Tensor:
        answer: Tensor = self.inner(*maps).relu()
        return answer


class _BentFPN(FPN):
    """A pyramid that is none of ours."""


def test_a_head_with_an_activation_is_refused() -> None:
    network = tiny_model().network
    fpn = required(network.local, "local").fpn
    fpn.smooth[1] = _Bent(fpn.smooth[1])

    with pytest.raises(CollapseError, match=r"local\.fpn\.smooth\.1 is a _Bent"):
        _collapsed(network)


def test_a_head_of_another_class_is_refused() -> None:
    network = tiny_model().network
    required(network.refined, "refined").fpn.__class__ = _BentFPN

    with pytest.raises(CollapseError, match=r"refined\.fpn is a _BentFPN"):
        _collapsed(network)


def test_a_head_that_something_hooks_into_is_refused() -> None:
    network = tiny_model().network
    required(network.aggregation, "aggregation").register_forward_hook(lambda *_: None)

    with pytest.raises(CollapseError, match="hooks into aggregation"):
        _collapsed(network)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "resnet18", "regnetx_002"])
def test_folding_leaves_the_maps_as_they_were(name: str) -> None:
    backbone = required(tiny_model(backbone=name).network.local, "local").backbone
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            required(module.running_mean, "mean").normal_(0, 0.3)
            required(module.running_var, "variance").uniform_(0.5, 2)
    pixels = torch.rand(2, 3, 75, 98)

    with torch.inference_mode():
        pairs = zip(folded(backbone, 3)(pixels), backbone.eval()(pixels), strict=True)
        for found, expected in pairs:
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.max()))


def test_plain_batch_normalisation_is_gone_after_folding() -> None:
    backbone = required(tiny_model(backbone="resnet18").network.local, "local").backbone

    kinds = {type(module) for module in folded(backbone, 3).modules()}

    assert nn.BatchNorm2d not in kinds


def test_what_torch_fx_cannot_follow_stays_whole() -> None:
    backbone = required(tiny_model().network.local, "local").backbone
    backbone.network = _Turning(backbone.network)
    pixels = torch.rand(1, 3, 64, 64)

    with torch.inference_mode():
        pairs = zip(folded(backbone, 3)(pixels), backbone.eval()(pixels), strict=True)
        assert all(torch.equal(found, expected) for found, expected in pairs)


class _Turning(nn.Module):
    """A network that does what no trace can tell."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, pixels: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.inner(pixels * 2 if pixels.sum() > 0 else pixels)
        return maps


def test_moving_shares_what_is_there_already_and_copies_the_rest() -> None:
    conv = nn.Conv2d(2, 3, 1)

    same, other = moved(conv, CPU, torch.float32), moved(conv, CPU, torch.bfloat16)

    assert same.weight.data_ptr() == conv.weight.data_ptr()
    assert other.weight.dtype == torch.bfloat16
    assert conv.weight.dtype == torch.float32


def test_the_head_of_a_patch_takes_few_multiply_adds() -> None:
    """The paper's sizes, without computing: published head 118.7 * 10^9, backbone 21.3."""
    form = collapse(_paper_sized(), 3, "cpu", torch.float32)
    whole_size = Framing(patch_size=508, thumbnail_size=508, overlap=50)
    exchange = Exchange(whole_size.grid(Size(2448, 2448)), "exact")
    wanted = (Answer.AGGREGATED,)
    with torch.inference_mode():
        whole = form.see_whole(torch.rand(1, 3, 508, 508), ())
        merger = Merger(exchange, whole.features)
        form._at("local")  # Making it ready is no work of a patch.
        with FlopCounterMode(display=False) as counter:
            output = form.see_patches(torch.rand(1, 3, 508, 508), whole, exchange, [(1, 1)], wanted)
            merger.add(output.features, [(1, 1)])
        with FlopCounterMode(display=False) as backbone:
            form._at("local").backbone(torch.rand(1, 3, 508, 508))

    head = counter.get_total_flops() - backbone.get_total_flops()
    assert head / 2e9 < 25.2


def _paper_sized() -> GLNet:
    torch.manual_seed(0)
    return build_glnet(Architecture(), 3, 7).eval()
