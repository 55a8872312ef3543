"""ICNet: a deep network on a small image, corrected twice by shallow ones on larger images.

Zhao, Qi, Shen, Shi and Jia: ICNet for Real-Time Semantic Segmentation on High-Resolution Images,
ECCV 2018, sections 3 (image cascade, figure 2), 3.3 (cascade feature fusion, figure 3) and 3.4
(cascade label guidance).

As in the paper and its published network, the branches at 1/2 and 1/4 share weights and computation
up to the first block of the ResNet's second stage: the branch at 1/4 goes on with that map at half
of its size. The rest of the ResNet is dilated, so its last map lies at 1/8 of the 1/4.

What departs from it:

- The paper halves all widths after training (model compression). This is the network before that,
  with twice the widths of the published one. A smaller one is had by a smaller ResNet.
- Halving and enlarging follow the centres of pixels (``align_corners=False``); the published
  network aligns the corners.
- The ResNet is timm's, with its plain 7x7 stem unless its name says otherwise ("resnet50d" has the
  three 3x3 convolutions of PSPNet's).

The pyramid's pooled maps are summed, as in the published network. They go through no convolution
and no batch normalisation, which could not train on one image where it is pooled to one cell.
"""

from itertools import pairwise
from typing import cast

import timm
from timm.models.resnet import ResNet
from torch import Tensor, nn
from torch.nn import functional

from glnet.baselines.compared import ComparedNetwork

AUXILIARY_WEIGHTS = (0.4, 0.4)
"""Of the losses at 1/16 and 1/8, as public implementations have them; that at 1/4 counts whole."""

BINS = (1, 2, 3, 6)
"""Cells along a side of the pyramid's maps, as in PSPNet."""

DETAIL_WIDTHS = (64, 64, 128)
"""Channels of the three convolutions that see the whole image."""

FUSED_WIDTH = 256
"""Channels of a cascade feature fusion."""


class CascadeFeatureFusion(nn.Module):
    """A coarse map joined with one that is twice as fine (section 3.3).

    Args:
        coarse: Channels of the coarse map.
        fine: Channels of the fine map.
    """

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.from_coarse = nn.Sequential(
            nn.Conv2d(coarse, FUSED_WIDTH, 3, padding=2, dilation=2, bias=False),
            nn.BatchNorm2d(FUSED_WIDTH),
        )
        self.from_fine = nn.Sequential(
            nn.Conv2d(fine, FUSED_WIDTH, 1, bias=False), nn.BatchNorm2d(FUSED_WIDTH)
        )

    def forward(self, enlarged: Tensor, fine: Tensor) -> Tensor:
        """Join the coarse map, once it is enlarged, with the fine one; both are (N, any, h, w)."""
        return functional.relu(self.from_coarse(enlarged) + self.from_fine(fine))


class ICNet(nn.Module):
    """Logits at stride 4; in training mode also those at 16 and 8.

    Args:
        shallow: The half image into a map at stride 8 of it.
        deep: That map, halved, into one of the same size.
        widths: Channels of the two maps.
        bands: Of the image.
        classes: K.
    """

    def __init__(
        self,
        shallow: nn.Module,
        deep: nn.Module,
        widths: tuple[int, int],
        bands: int,
        classes: int,
    ) -> None:
        super().__init__()
        medium, coarse = widths
        narrow = coarse // 4  # 512 behind a ResNet-50, as in PSPNet
        self.shallow = shallow
        self.deep = deep
        self.narrow = _normalised(nn.Conv2d(coarse, narrow, 1, bias=False))
        self.detail = nn.Sequential(
            *(
                _normalised(nn.Conv2d(channels_in, channels_out, 3, 2, padding=1, bias=False))
                for channels_in, channels_out in pairwise((bands, *DETAIL_WIDTHS))
            )
        )
        self.join_medium = CascadeFeatureFusion(narrow, medium)
        self.join_detail = CascadeFeatureFusion(FUSED_WIDTH, DETAIL_WIDTHS[-1])
        self.classify_coarse = nn.Conv2d(narrow, classes, 1)
        self.classify_medium = nn.Conv2d(FUSED_WIDTH, classes, 1)
        self.classify = nn.Conv2d(FUSED_WIDTH, classes, 1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Turn (N, bands, H, W) into logits (N, K, H/4, W/4).

        In training mode, those of the two coarser steps follow: at H/16 and at H/8.
        """
        medium = self.shallow(_halved(pixels))  # (N, C, H/16, W/16)
        coarse = self.narrow(_with_pyramid(self.deep(_halved(medium))))  # (N, c, H/32, W/32)
        enlarged_coarse = _doubled(coarse)  # (N, c, H/16, W/16)
        joined = self.join_medium(enlarged_coarse, medium)
        enlarged_medium = _doubled(joined)  # (N, 256, H/8, W/8)
        joined = self.join_detail(enlarged_medium, self.detail(pixels))
        logits = self.classify(_doubled(joined))  # (N, K, H/4, W/4)
        if not self.training:
            return (logits,)
        return logits, self.classify_coarse(enlarged_coarse), self.classify_medium(enlarged_medium)


def build_icnet(backbone: str, bands: int, classes: int, *, pretrained: bool) -> ComparedNetwork:
    """Build ICNet on a ResNet of timm.

    Raises:
        ValueError: If the backbone is no ResNet.
        TypeError: If it cannot be dilated.
    """
    network = timm.create_model(
        backbone, pretrained=pretrained, in_chans=bands, num_classes=0, output_stride=8
    )
    if not isinstance(network, ResNet):
        raise ValueError("it is no ResNet of timm")
    before, second, *after = (
        cast(nn.Module, getattr(network, name)) for name in ("layer1", "layer2", "layer3", "layer4")
    )
    stem = (cast(nn.Module, getattr(network, name)) for name in ("conv1", "bn1", "act1", "maxpool"))
    assert isinstance(second, nn.Sequential)
    shallow = nn.Sequential(*stem, before, second[0])
    deep = nn.Sequential(second[1:], *after)
    widths = (network.feature_info[2]["num_chs"], network.feature_info[4]["num_chs"])
    return ComparedNetwork(
        ICNet(shallow, deep, cast(tuple[int, int], widths), bands, classes),
        stride=4,
        divisor=32,
        auxiliary_weights=AUXILIARY_WEIGHTS,
    )


def _normalised(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(
        convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)
    )


def _with_pyramid(features: Tensor) -> Tensor:
    """A map and its means over ever smaller squares, summed; (N, C, h, w)."""
    size = features.shape[-2:]
    total = features
    for bins in BINS:
        pooled = functional.adaptive_avg_pool2d(features, bins)
        total = total + functional.interpolate(pooled, size, mode="bilinear", align_corners=False)
    return total


def _halved(pixels: Tensor) -> Tensor:
    """Half of the size, bilinear: the mean of four, as both sides are even."""
    return functional.avg_pool2d(pixels, 2)


def _doubled(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
