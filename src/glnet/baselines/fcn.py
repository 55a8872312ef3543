"""FCN-8s: class scores of three depths of a VGG, summed from the coarsest to the finest.

Long, Shelhamer and Darrell: Fully Convolutional Networks for Semantic Segmentation, CVPR 2015,
sections 3 (layers as convolutions) and 4 (FCN-8s, figure 3).

What departs from it:

- Convolutions keep the size (fc6: three cells of zeros on each side), and so do enlargements. The
  original pads the image by 100 pixels, so that fc6 sees enough of a small one, and crops.
- All is trained at once. In the paper FCN-8s begins with the weights of FCN-16s, which begins with
  those of FCN-32s.
- Scores of the third and fourth pooling are summed as they are, as in the paper. The authors' later
  model that trains at once scales these poolings by 0.0001 and 0.01, which suits pixels of 0 to 255
  and plain gradient descent. With normalised pixels, and an optimiser whose steps do not depend on
  the size of the gradients, scores of so small maps would hardly learn.
- The last enlargement, by 8, is not learned in the paper (section 4.3) and is not part of this.
- Any VGG will do, with batch normalisation or without. The paper's is VGG-16 without.
"""

from typing import cast

import torch
from timm.models.vgg import VGG
from torch import Tensor, nn
from torch.nn import functional

from glnet.baselines.compared import ComparedNetwork
from glnet.baselines.vgg import build_vgg, stages_of

HEAD_WIDTH = 4096
"""Channels of fc6 and fc7, as in VGG."""

SMALL_HEAD_WIDTH = 512
"""Those behind a VGG-11, for quick runs: 13 million weights where 4096 channels have 120."""

DROPOUT = 0.5

TAPS = (0.25, 0.75, 0.75, 0.25)
"""Bilinear enlargement by two, along one side, as a transposed convolution."""


class FCN8s(nn.Module):
    """Logits at stride 8.

    Args:
        stages: The five stages of a VGG, each without its pooling.
        fc6: From the fifth pooling's channels to the head's width; keeps the size.
        fc7: Within the head's width.
        classes: K.
    """

    def __init__(
        self, stages: list[nn.Sequential], fc6: nn.Conv2d, fc7: nn.Conv2d, classes: int
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.head = nn.Sequential(
            fc6, nn.ReLU(), nn.Dropout(DROPOUT), fc7, nn.ReLU(), nn.Dropout(DROPOUT)
        )
        pool3, pool4 = (_last_channels(stage) for stage in stages[2:4])
        self.score_pool3 = _score(pool3, classes)
        self.score_pool4 = _score(pool4, classes)
        self.score_fc7 = _score(fc7.out_channels, classes)
        self.enlarge_fc7 = _enlargement(classes)
        self.enlarge_pool4 = _enlargement(classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Turn (N, bands, H, W) into logits (N, K, H/8, W/8)."""
        pooled = []
        for stage in self.stages:
            pixels = functional.max_pool2d(stage(pixels), 2)
            pooled.append(pixels)
        pool3, pool4, pool5 = pooled[2:]
        scores = self.score_fc7(self.head(pool5))  # (N, K, H/32, W/32)
        scores = self.enlarge_fc7(scores) + self.score_pool4(pool4)  # (N, K, H/16, W/16)
        return cast(Tensor, self.enlarge_pool4(scores) + self.score_pool3(pool3))


def build_fcn8s(backbone: str, bands: int, classes: int, *, pretrained: bool) -> ComparedNetwork:
    """Build FCN-8s on a VGG of timm.

    fc6 and fc7 have 4096 channels, and timm's weights where these are asked for; behind a VGG-11
    they have 512 and always begin anew.

    Raises:
        ValueError: If the backbone is no VGG.
    """
    is_small = backbone.startswith("vgg11")
    vgg = build_vgg(backbone, bands, pretrained=pretrained, keeps_head=not is_small)
    fc6, fc7 = _small_head(vgg.num_features) if is_small else _own_head(vgg)
    return ComparedNetwork(FCN8s(stages_of(vgg), fc6, fc7, classes), stride=8, divisor=32)


def _own_head(vgg: VGG) -> tuple[nn.Conv2d, nn.Conv2d]:
    """The fully connected layers of a VGG, which timm has as convolutions already."""
    fc6, fc7 = cast(nn.Conv2d, vgg.pre_logits.fc1), cast(nn.Conv2d, vgg.pre_logits.fc2)
    fc6.padding = (3, 3)
    return fc6, fc7


def _small_head(channels: int) -> tuple[nn.Conv2d, nn.Conv2d]:
    layers = (
        nn.Conv2d(channels, SMALL_HEAD_WIDTH, 7, padding=3),
        nn.Conv2d(SMALL_HEAD_WIDTH, SMALL_HEAD_WIDTH, 1),
    )
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(cast(Tensor, layer.bias))
    return layers


def _last_channels(stage: nn.Sequential) -> int:
    return [layer for layer in stage if isinstance(layer, nn.Conv2d)][-1].out_channels


def _score(channels: int, classes: int) -> nn.Conv2d:
    """A 1x1 convolution that begins as zeros, as in the paper (section 4)."""
    layer = nn.Conv2d(channels, classes, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(cast(Tensor, layer.bias))
    return layer


def _enlargement(classes: int) -> nn.ConvTranspose2d:
    """Twice as many cells along each side; learned, begins as bilinear (section 3.3)."""
    layer = nn.ConvTranspose2d(classes, classes, 4, stride=2, padding=1, bias=False)
    taps = torch.tensor(TAPS)
    with torch.no_grad():
        layer.weight.copy_(torch.einsum("ij,y,x->ijyx", torch.eye(classes), taps, taps))
    return layer
