import sys
from typing import Any, cast

import pytest
import timm
import torch

from glnet.baselines import building
from glnet.baselines.building import NETWORKS, NetworkName, build_compared
from glnet.errors import ConfigurationError, InputMismatchError
from tests.baselines.small import (
    BANDS,
    CLASSES,
    NAMES,
    STRIDES,
    count,
    loss_of,
    on_meta,
    pixels,
    small,
)

LIBRARY_NAMES: tuple[NetworkName, ...] = ("unet", "pspnet", "deeplabv3plus", "fpn")

every_network = pytest.mark.parametrize("name", NAMES)


def test_networks_are_those_of_the_comparison() -> None:
    assert NETWORKS == ("unet", "pspnet", "deeplabv3plus", "fpn", "fcn8s", "segnet", "icnet")


@every_network
def test_stride_is_as_stated(name: NetworkName) -> None:
    network = on_meta(name)

    assert network.stride == STRIDES[name]
    assert network.divisor % network.stride == 0


@every_network
@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (3, 5), (7, 4)])
def test_logits_lie_at_the_stride(name: NetworkName, rows: int, columns: int) -> None:
    network = on_meta(name).eval()
    height, width = rows * network.divisor, columns * network.divisor

    (logits,) = network(torch.empty(2, BANDS, height, width, device="meta"))

    assert logits.shape == (2, CLASSES, height // network.stride, width // network.stride)


@every_network
def test_shapes_without_content_are_the_real_ones(name: NetworkName) -> None:
    real, promised = small(name), on_meta(name)
    seen = pixels(64, 96, images=2)

    for mode in (True, False):
        with torch.no_grad():
            answers = real.train(mode)(seen)
            shapes = promised.train(mode)(seen.to("meta"))

        assert [a.shape for a in answers] == [s.shape for s in shapes]
        assert all(shape.device.type == "meta" for shape in shapes)
    assert {k: v.shape for k, v in real.state_dict().items()} == {
        k: v.shape for k, v in promised.state_dict().items()
    }


@every_network
def test_evaluation_gives_one_map_and_training_the_auxiliary_ones(name: NetworkName) -> None:
    network = on_meta(name)
    seen = torch.empty(1, BANDS, 64, 64, device="meta")

    trained, evaluated = network.train()(seen), network.eval()(seen)

    assert len(evaluated) == 1
    assert len(trained) == 1 + len(network.auxiliary_weights)


@every_network
def test_side_that_does_not_divide_is_refused(name: NetworkName) -> None:
    network = on_meta(name)

    with pytest.raises(InputMismatchError, match=f"multiples of {network.divisor}, got 64 x 65"):
        network(torch.empty(1, BANDS, 64, 65, device="meta"))


@every_network
def test_one_image_trains_every_parameter(name: NetworkName) -> None:
    network = small(name)
    seen = pixels(64, 64)
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    reached: set[str] = set()

    # What begins as zeros lets nothing through in the first step.
    for _ in range(2):
        optimizer.zero_grad()
        loss_of(network, seen).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        gradients = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
        reached |= {n for n, gradient in gradients.items() if gradient.any()}

    assert reached == {n for n, _ in network.named_parameters()}
    assert all(parameter.isfinite().all() for parameter in network.parameters())


@every_network
def test_loss_falls_over_ten_steps(name: NetworkName) -> None:
    network = small(name)
    seen = pixels(64, 64, images=2)
    optimizer = torch.optim.Adam(network.parameters(), 3e-4)
    losses = []

    for _ in range(10):
        optimizer.zero_grad()
        loss = loss_of(network, seen)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))

    # Dropout lets it go up and down on the way.
    assert sum(losses[-3:]) / 3 < 0.9 * losses[0]


@every_network
def test_weights_go_out_and_come_back(name: NetworkName) -> None:
    first, second = small(name, seed=0).eval(), small(name, seed=1).eval()
    seen = pixels(64, 64)

    second.load_state_dict(first.state_dict())

    with torch.no_grad():
        assert torch.equal(first(seen)[0], second(seen)[0])


@every_network
def test_seed_gives_the_same_weights_at_any_time(name: NetworkName) -> None:
    building._try_out.cache_clear()
    before = small(name).state_dict()

    after = small(name).state_dict()

    assert all(torch.equal(before[key], after[key]) for key in before)


@every_network
def test_weights_are_asked_of_timm_only_where_wished(
    name: NetworkName, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes: list[bool] = []
    original = timm.create_model

    def recorded(backbone: str, **options: Any) -> torch.nn.Module:  # noqa: ANN401 - timm's own
        wishes.append(options.pop("pretrained", False))
        return original(backbone, **options)

    monkeypatch.setattr(timm, "create_model", recorded)
    with torch.device("meta"):
        small(name)
        asked_without = any(wishes)
        small(name, pretrained=True)

    assert wishes
    assert not asked_without
    assert any(wishes)


@pytest.mark.parametrize("name", LIBRARY_NAMES)
def test_backbone_is_the_one_that_was_named(name: NetworkName) -> None:
    for backbone in ("resnet50", "mobilenetv3_small_100"):
        with torch.device("meta"):
            network = build_compared(name, backbone, BANDS, CLASSES)
            named = timm.create_model(backbone, in_chans=BANDS, features_only=True)

        offered = network.network.get_submodule("encoder.model")
        assert {k: v.shape for k, v in offered.state_dict().items()} == {
            k: v.shape for k, v in named.state_dict().items()
        }


@every_network
def test_backbones_that_messages_offer_do(name: NetworkName) -> None:
    fitting = building._KINDS[name].fitting

    for backbone in fitting:
        with torch.device("meta"):
            assert count(build_compared(name, backbone, BANDS, CLASSES))

    assert fitting


def test_unknown_network_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no network 'enet'; there are: unet, pspnet"):
        build_compared(cast(NetworkName, "enet"), "resnet18", 3, 2)


@every_network
def test_unknown_backbone_is_refused(name: NetworkName) -> None:
    with pytest.raises(ConfigurationError, match="timm has no backbone 'resnet1800'; near it:"):
        build_compared(name, "resnet1800", 3, 2)


@pytest.mark.parametrize(
    ("name", "backbone"),
    [
        ("unet", "vit_tiny_patch16_224"),
        ("pspnet", "vgg11"),
        ("deeplabv3plus", "vgg11"),
        ("fpn", "swin_tiny_patch4_window7_224"),
        ("fcn8s", "resnet18"),
        ("segnet", "resnet18"),
        ("icnet", "vgg11"),
        ("icnet", "mobilenetv3_small_100"),
        ("icnet", "convnext_atto"),
    ],
)
def test_backbone_that_does_not_fit_is_refused_with_others_that_do(
    name: NetworkName, backbone: str
) -> None:
    with pytest.raises(ConfigurationError, match="these would do: ") as caught:
        build_compared(name, backbone, 3, 2)

    assert f"network {name!r} cannot have the backbone {backbone!r}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert building._KINDS[name].fitting[0] in str(caught.value)


def test_backbone_without_weights_is_refused_where_they_are_wished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timm.models, "is_model_pretrained", lambda name: name != "vgg11_bn")

    with pytest.raises(ConfigurationError, match="no weights for the backbone 'vgg11_bn'"):
        build_compared("segnet", "vgg11", 3, 2, pretrained=True)


@pytest.mark.parametrize("name", LIBRARY_NAMES)
def test_missing_library_is_named_with_its_extra(
    name: NetworkName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'glnet\[baselines\]'"):
        build_compared(name, "resnet18", 3, 2)
