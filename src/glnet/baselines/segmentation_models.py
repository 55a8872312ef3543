"""U-Net, PSPNet, DeepLabv3+ and FPN, as segmentation-models-pytorch has them.

Backbones are timm's, under timm's names, with timm's weights. No network enlarges its logits.

What departs from the papers:

- **U-Net** (Ronneberger, Fischer and Brox, MICCAI 2015): the contracting path is the backbone;
  convolutions keep the size and have batch normalisation; enlargements are not learned.
- **PSPNet** (Zhao et al., CVPR 2017): the backbone is dilated to stride 8, as in the paper (the
  library's default ends at that stride instead, without the deep stages). Behind the pyramid there
  are a 1x1 convolution and a 3x3 one that classifies; the authors' network has a 3x3 and a 1x1 one.
  The map pooled to one cell has no batch normalisation, so that one image alone can train. There is
  no auxiliary loss (section 3.3 of the paper).
- **DeepLabv3+** (Chen et al., ECCV 2018): stride 16 behind the backbone and rates 6, 12, 18, as in
  the paper. The decoder has one separable convolution, the paper's has two. The map pooled to one
  cell has a bias instead of batch normalisation, so that one image alone can train.
- **FPN** (Lin et al., CVPR 2017): with the segmentation head of Kirillov et al. (Panoptic Feature
  Pyramid Networks, CVPR 2019), for the paper itself has none.

Inside, the library enlarges maps by nearest neighbours or with aligned corners.
"""

from types import ModuleType

from torch import nn

from glnet.baselines.compared import ComparedNetwork
from glnet.errors import ConfigurationError

ATROUS_RATES = (6, 12, 18)
"""DeepLabv3+'s at stride 16; the library has these for no stride."""


def require_library() -> ModuleType:
    """segmentation-models-pytorch.

    Raises:
        ConfigurationError: If it is not installed.
    """
    try:
        import segmentation_models_pytorch as library  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(
            f"this network needs segmentation-models-pytorch ({error}); install it with: "
            "pip install 'glnet[baselines]'"
        ) from error
    found: ModuleType = library
    return found


def build_unet(backbone: str, bands: int, classes: int, *, pretrained: bool) -> ComparedNetwork:
    """Build a U-Net, with logits of every pixel.

    Raises:
        ConfigurationError: If the library is not installed.
    """
    network = require_library().Unet(
        f"tu-{backbone}",
        encoder_weights=_weights(pretrained),
        in_channels=bands,
        classes=classes,
    )
    return ComparedNetwork(network, stride=1, divisor=32)


def build_pspnet(backbone: str, bands: int, classes: int, *, pretrained: bool) -> ComparedNetwork:
    """Build a PSPNet, with logits at stride 8.

    Raises:
        ConfigurationError: If the library is not installed.
    """
    network = require_library().PSPNet(
        f"tu-{backbone}",
        encoder_weights=_weights(pretrained),
        encoder_depth=5,
        output_stride=8,
        in_channels=bands,
        classes=classes,
        upsampling=1,
    )
    return ComparedNetwork(network, stride=8, divisor=8)


def build_deeplabv3plus(
    backbone: str, bands: int, classes: int, *, pretrained: bool
) -> ComparedNetwork:
    """Build a DeepLabv3+, with logits at stride 4.

    Raises:
        ConfigurationError: If the library is not installed.
    """
    network = require_library().DeepLabV3Plus(
        f"tu-{backbone}",
        encoder_weights=_weights(pretrained),
        in_channels=bands,
        classes=classes,
        decoder_atrous_rates=ATROUS_RATES,
        upsampling=1,
    )
    _forget_normalisation_of_one_cell(network.decoder.aspp[0].convs[-1])
    return ComparedNetwork(network, stride=4, divisor=16)


def build_fpn(backbone: str, bands: int, classes: int, *, pretrained: bool) -> ComparedNetwork:
    """Build an FPN, with logits at stride 4.

    Raises:
        ConfigurationError: If the library is not installed.
    """
    network = require_library().FPN(
        f"tu-{backbone}",
        encoder_weights=_weights(pretrained),
        in_channels=bands,
        classes=classes,
        upsampling=1,
    )
    return ComparedNetwork(network, stride=4, divisor=32)


def _weights(pretrained: bool) -> bool | None:
    """What the library calls weights of a timm backbone; anything but None is a wish for them."""
    return True if pretrained else None


def _forget_normalisation_of_one_cell(image_pooling: nn.Sequential) -> None:
    """Give the convolution behind a pooling to one cell a bias, and no normalisation."""
    _, convolution, normalisation, _ = image_pooling
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(normalisation, nn.BatchNorm2d)
    image_pooling[1] = nn.Conv2d(convolution.in_channels, convolution.out_channels, 1)
    image_pooling[2] = nn.Identity()
