"""SegNet: a VGG and its mirror, which puts values back where the maxima were.

Badrinarayanan, Kendall and Cipolla: SegNet: A Deep Convolutional Encoder-Decoder Architecture for
Image Segmentation, PAMI 2017, section 3 and figure 2.

What departs from it:

- Any VGG will do (a quick run takes VGG-11). The paper's is VGG-16.
- ImageNet weights are those of timm's VGG with batch normalisation, with the normalisation's own;
  the paper takes the convolutions of a VGG without.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from glnet.baselines.compared import ComparedNetwork
from glnet.baselines.vgg import build_vgg, stages_of


class SegNet(nn.Module):
    """Logits at stride 1.

    Args:
        stages: The five stages of a VGG with batch normalisation, each without its pooling.
        classes: K.
    """

    def __init__(self, stages: list[nn.Sequential], classes: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(stages)
        first, *deeper = (_widths(stage) for stage in stages)
        mirrored = [_mirror(widths) for widths in reversed(deeper)]
        # No class follows from the image's bands: the last layer gives logits instead of bands.
        last = nn.Sequential(_mirror(first[1:]), _convolution(first[1], classes))
        self.decoder = nn.ModuleList([*mirrored, last])

    def forward(self, pixels: Tensor) -> Tensor:
        """Turn (N, bands, H, W) into logits (N, K, H, W)."""
        maxima = []
        for stage in self.encoder:
            pixels, indices = functional.max_pool2d(stage(pixels), 2, return_indices=True)
            maxima.append(indices)
        for stage in self.decoder:
            pixels = stage(unpool(pixels, maxima.pop()))
        return pixels


def unpool(values: Tensor, indices: Tensor) -> Tensor:
    """Put values (N, C, h, w) back where the maxima were, in zeros (N, C, 2h, 2w).

    The same as torch's ``max_unpool2d`` for a pooling by 2 of even sides. That one is refused where
    deterministic algorithms are asked for; scattering to places that are all different is not.

    Args:
        values: To be put back.
        indices: From ``max_pool2d``, of the values' shape.
    """
    height, width = values.shape[-2:]
    empty = values.new_zeros((*values.shape[:2], 4 * height * width))
    filled = empty.scatter(2, indices.flatten(2), values.flatten(2))
    return filled.view(*values.shape[:2], 2 * height, 2 * width)


def build_segnet(backbone: str, bands: int, classes: int, *, pretrained: bool) -> ComparedNetwork:
    """Build SegNet on a VGG of timm; "vgg16" and "vgg16_bn" are the same to it.

    Raises:
        ValueError: If the backbone is no VGG.
    """
    vgg = build_vgg(normalised(backbone), bands, pretrained=pretrained, keeps_head=False)
    return ComparedNetwork(SegNet(stages_of(vgg), classes), stride=1, divisor=32)


def normalised(backbone: str) -> str:
    """The name of a VGG with batch normalisation: "vgg16_bn.tag" of "vgg16.tag"."""
    name, dot, tag = backbone.partition(".")
    return name.removesuffix("_bn") + "_bn" + dot + tag


def _widths(stage: nn.Sequential) -> list[int]:
    """Channels before the first convolution of a stage, and after each."""
    convolutions = [layer for layer in stage if isinstance(layer, nn.Conv2d)]
    return [convolutions[0].in_channels, *(layer.out_channels for layer in convolutions)]


def _mirror(widths: list[int]) -> nn.Sequential:
    """The same convolutions from the last to the first, each from its output to its input."""
    layers: list[nn.Module] = []
    for channels_in, channels_out in pairwise(reversed(widths)):
        layers += [
            _convolution(channels_in, channels_out),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def _convolution(channels_in: int, channels_out: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels_in, channels_out, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # as in the paper, section 3.2
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
