import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from glnet.baselines.building import build_compared
from glnet.baselines.segnet import normalised, unpool
from tests.baselines.small import count

sides = st.integers(1, 5)


@given(images=st.integers(1, 2), channels=st.integers(1, 3), height=sides, width=sides)
def test_unpooling_is_that_of_torch(images: int, channels: int, height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(height * 10 + width)
    seen = torch.randn(images, channels, 2 * height, 2 * width, generator=generator)
    values, indices = functional.max_pool2d(seen, 2, return_indices=True)
    ours, theirs = values.clone().requires_grad_(), values.clone().requires_grad_()
    weights = torch.randn(seen.shape, generator=generator)

    expected = functional.max_unpool2d(theirs, indices, [2, 2])
    found = unpool(ours, indices)

    (expected * weights).sum().backward()  # type: ignore[no-untyped-call]
    (found * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(found, expected)
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.equal(ours.grad, theirs.grad)


def test_size_is_that_of_the_paper() -> None:
    with torch.device("meta"):
        network = build_compared("segnet", "vgg16", 3, 11)

    # Section 3 of Badrinarayanan et al.: 14.7 million in the encoder; table 6: 117 MB in all, which
    # is 29.45 million in float32 (11 classes of CamVid).
    assert round(count(network.network.get_submodule("encoder")) / 1e6, 1) == 14.7
    assert abs(count(network) - 29.45e6) < 0.01e6


def test_decoder_mirrors_the_encoder() -> None:
    with torch.device("meta"):
        network = build_compared("segnet", "vgg13", 3, 7).network

    widths = {
        part: [
            (module.in_channels, module.out_channels)
            for module in network.get_submodule(part).modules()
            if isinstance(module, torch.nn.Conv2d)
        ]
        for part in ("encoder", "decoder")
    }
    mirrored = [(after, before) for before, after in reversed(widths["encoder"])]
    assert widths["decoder"] == [*mirrored[:-1], (64, 7)]


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        ("vgg16", "vgg16_bn"),
        ("vgg16_bn", "vgg16_bn"),
        ("vgg11.tv_in1k", "vgg11_bn.tv_in1k"),
        ("vgg13_bn.tv_in1k", "vgg13_bn.tv_in1k"),
    ],
)
def test_vgg_with_normalisation_is_found_by_either_name(backbone: str, expected: str) -> None:
    assert normalised(backbone) == expected
