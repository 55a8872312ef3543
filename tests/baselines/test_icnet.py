import torch
from torch import nn
from torch.nn import functional

from glnet.baselines.building import build_compared
from glnet.baselines.icnet import ICNet, _halved, _with_pyramid
from tests.baselines.small import BANDS, CLASSES, count, on_meta, pixels, small


def test_size_is_that_of_the_network_before_it_is_halved() -> None:
    with torch.device("meta"):
        network = build_compared("icnet", "resnet50", 3, 12)

    # 26.70 million: "icnet-camvid-ava-0001" of OpenVINO's model zoo, trained without compression
    # for the 12 classes of CamVid. Its stem has three convolutions where timm's ResNet has one.
    assert abs(count(network) - 26.70e6) < 0.01 * 26.70e6


def test_auxiliary_logits_lie_at_16_and_8() -> None:
    network = on_meta("icnet").train()

    answers = network(torch.empty(2, BANDS, 128, 192, device="meta"))

    assert network.auxiliary_weights == (0.4, 0.4)
    assert [tuple(answer.shape) for answer in answers] == [
        (2, CLASSES, 32, 48),
        (2, CLASSES, 8, 12),
        (2, CLASSES, 16, 24),
    ]


def test_branches_see_a_half_and_a_quarter() -> None:
    network = small("icnet").eval().network
    assert isinstance(network, ICNet)
    seen: dict[str, tuple[int, ...]] = {}
    for name in ("shallow", "deep", "detail"):
        network.get_submodule(name).register_forward_pre_hook(
            lambda _, inputs, name=name: seen.update({name: tuple(inputs[0].shape[-2:])})
        )

    with torch.no_grad():
        network(pixels(128, 64))

    # The quarter is seen as the shallow map (1/16), halved: 1/8 of a quarter.
    assert seen == {"shallow": (64, 32), "deep": (4, 2), "detail": (128, 64)}


def test_deep_part_is_dilated_and_keeps_the_size() -> None:
    network = on_meta("icnet").network
    assert isinstance(network, ICNet)
    maps = torch.empty(1, 128, 9, 13, device="meta")

    found = network.deep(maps)

    dilations = {m.dilation for m in network.deep.modules() if isinstance(m, nn.Conv2d)}
    assert found.shape == (1, 512, 9, 13)
    assert dilations >= {(2, 2), (4, 4)}


def test_halving_is_bilinear() -> None:
    seen = pixels(8, 12)

    expected = functional.interpolate(seen, scale_factor=0.5, mode="bilinear")

    torch.testing.assert_close(_halved(seen), expected)


def test_pyramid_sums_a_map_and_four_means() -> None:
    seen = pixels(6, 6)

    found = _with_pyramid(seen)

    # A corner lies outside the centres of the enlarged cells, so it has the corner cell's mean:
    # that of all, of a quarter, of a ninth, and itself.
    squares = [seen[..., :side, :side].mean((2, 3)) for side in (6, 3, 2, 1)]
    torch.testing.assert_close(found[..., 0, 0], seen[..., 0, 0] + sum(squares))
    constant = torch.full((1, 2, 5, 7), 3.0)
    torch.testing.assert_close(_with_pyramid(constant), 5 * constant)
