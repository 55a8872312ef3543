"""Architectures and backbones: which parts are built, what is refused."""

import pytest
import timm
import torch

from glnet.errors import ConfigurationError
from glnet.geometry import GridRule, Size, patch_grid
from glnet.model.backbone import _level_indices, build_backbone
from glnet.model.exchange import Exchange
from glnet.model.features import Layer
from tests.model.tiny import ARCHITECTURES, tiny_model

PARTS = {
    "local only": {"local"},
    "global only": {"context"},
    "aggregation only": {"context", "local", "aggregation"},
    "shallow": {"context", "local", "aggregation"},
    "deep": {"context", "local", "aggregation"},
    "bidirectional": {"context", "local", "refined", "aggregation"},
    "deep, not aggregated": {"context", "local"},
    "bidirectional, shallow": {"context", "local", "refined", "aggregation"},
}
HEARD = {"shallow": {Layer.REFINED}, "deep": set(Layer)}


@pytest.mark.parametrize("row", ARCHITECTURES)
def test_every_row_of_table_2_has_its_parts_and_listens_where_it_says(row: str) -> None:
    network, architecture = tiny_model(row).network, ARCHITECTURES[row]

    heard = HEARD[architecture.sharing_depth] if architecture.sharing != "none" else set()
    assert {name for name, _ in network.named_children()} == PARTS[row]
    if network.context is not None:
        assert network.context.fpn.listens_to == frozenset()
    if network.local is not None:
        assert network.local.fpn.listens_to == heard
    if network.refined is not None:
        assert network.refined.fpn.listens_to == heard


@pytest.mark.parametrize("bands", [1, 4])
@pytest.mark.parametrize("size", [(32, 32), (45, 131)])
def test_backbones_give_four_levels_for_any_bands_and_size(
    bands: int, size: tuple[int, int]
) -> None:
    for name in ("test_resnet", "test_convnext", "mobilenetv3_small_050", "regnetx_002"):
        backbone, channels = build_backbone(name, bands)

        with torch.no_grad():
            levels = backbone.eval()(torch.zeros(1, bands, *size))

        assert [of.shape[1] for of in levels] == channels
        for level, stride in zip(levels, (4, 8, 16, 32), strict=True):
            for cells, pixels in zip(level.shape[2:], size, strict=True):
                assert pixels // stride <= cells <= -(-pixels // stride)


def test_a_backbone_may_name_its_pretrained_weights() -> None:
    _, channels = build_backbone("resnet18.tv_in1k", 3)

    assert channels == [64, 128, 256, 512]


def test_unknown_backbones_are_refused_with_what_is_near() -> None:
    with pytest.raises(ConfigurationError, match=r"no backbone 'resnet51'; near it: .*resnet"):
        build_backbone("resnet51", 3)
    with pytest.raises(ConfigurationError, match="see timm"):
        build_backbone("unheard-of", 3)


def test_backbones_without_four_levels_are_refused() -> None:
    assert timm.is_model("vit_tiny_patch16_224")

    with pytest.raises(ConfigurationError, match="no four levels at strides 4, 8, 16 and 32"):
        build_backbone("vit_tiny_patch16_224", 3)


def test_backbones_of_one_image_size_are_refused() -> None:
    assert timm.is_model("maxvit_pico_rw_256")

    with pytest.raises(ConfigurationError, match="for images of any size"):
        build_backbone("maxvit_pico_rw_256", 3)


def test_backbones_whose_maps_end_in_channels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network = timm.create_model("test_resnet", features_only=True)
    channels_first = network.forward
    monkeypatch.setattr(
        network, "forward", lambda of: [level.movedim(1, 3) for level in channels_first(of)]
    )
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: network)

    with pytest.raises(ConfigurationError, match=r"expected maps \(N, C, H, W\)"):
        build_backbone("test_resnet.r160_in1k", 3)  # a name that no other test has tried out


def test_a_network_refuses_steps_whose_branch_it_lacks() -> None:
    grid = patch_grid(Size(64, 64), Size(64, 64), 0, GridRule.EXACT)
    exchange, pixels = Exchange(grid, "exact"), torch.zeros(1, 3, 64, 64)

    with pytest.raises(ValueError, match="has its local branch"):
        tiny_model("global only").network.see_patches(pixels, None, exchange, [(0, 0)])
    with pytest.raises(ValueError, match="no refined branch"):
        tiny_model("deep").network.see_again(pixels, None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nothing was given to hear"):
        tiny_model("deep").network.see_patches(pixels, None, exchange, [(0, 0)])


def test_a_seed_gives_the_same_weights_whether_the_backbone_was_tried_before_or_not() -> None:
    _level_indices.cache_clear()

    first, second = tiny_model(), tiny_model()

    theirs = second.network.state_dict()
    assert all(torch.equal(of, theirs[name]) for name, of in first.network.state_dict().items())
