import torch
from torch.nn import functional

from glnet.baselines.building import build_compared
from glnet.baselines.fcn import FCN8s
from tests.baselines.small import CLASSES, count, pixels, small


def test_size_is_that_of_the_paper() -> None:
    with torch.device("meta"):
        network = build_compared("fcn8s", "vgg16", 3, 21)

    # Table 1 of Long et al.: FCN-VGG16 has 134 million parameters (21 classes of PASCAL VOC).
    assert round(count(network) / 1e6) == 134


def test_head_is_small_behind_a_vgg11_only() -> None:
    with torch.device("meta"):
        widths = {
            backbone: build_compared("fcn8s", backbone, 3, 2)
            .network.get_submodule("score_fc7")
            .in_channels
            for backbone in ("vgg11", "vgg11_bn", "vgg13", "vgg19_bn")
        }

    assert widths == {"vgg11": 512, "vgg11_bn": 512, "vgg13": 4096, "vgg19_bn": 4096}


def test_fresh_network_prefers_no_class() -> None:
    network = small("fcn8s").eval()

    with torch.no_grad():
        (logits,) = network(pixels(64, 64))

    assert torch.equal(logits, torch.zeros_like(logits))


def test_fresh_enlargement_is_bilinear_inside() -> None:
    network = small("fcn8s").network
    assert isinstance(network, FCN8s)
    scores = torch.randn(1, CLASSES, 5, 7)

    with torch.no_grad():
        enlarged = network.enlarge_fc7(scores)

    expected = functional.interpolate(scores, scale_factor=2, mode="bilinear")
    assert enlarged.shape == expected.shape
    torch.testing.assert_close(enlarged[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def test_scores_of_three_depths_are_summed() -> None:
    network = small("fcn8s").network
    assert isinstance(network, FCN8s)
    biases = (network.score_fc7.bias, network.score_pool4.bias, network.score_pool3.bias)
    for exponent, bias in enumerate(biases):
        assert bias is not None
        torch.nn.init.constant_(bias, 10.0**exponent)

    with torch.no_grad():
        logits = network.eval()(pixels(128, 128))

    # Away from the edges, where nothing but zeros comes in, constant scores stay constant.
    torch.testing.assert_close(logits[..., 4:-4, 4:-4], torch.full((1, CLASSES, 8, 8), 111.0))
