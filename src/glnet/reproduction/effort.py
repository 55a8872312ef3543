"""How much is done for a table: as the paper did, or a little, to see that all of it works."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from glnet.geometry import Size
from glnet.model.config import LARGEST_SIDE
from glnet.reproduction.methods import Method

VGG = {"fcn8s", "segnet"}
"""Networks whose own backbone is a VGG."""

TOO_LARGE = {"segnet", "pspnet"}
"""Networks that the paper could train on whole images only after downsampling (footnote 4)."""

PAPER_EPOCHS = {"context": 120, "local": 50, "refined": 120}
"""Of the published code; the paper does not say."""

QUICK_IMAGES = {"context": 160, "local": 60, "refined": 10}
"""How many images a stage sees in a quick run, in whole epochs."""

QUICK_SIDE = 128
"""Of patches and thumbnails in a quick run, in pixels."""


@dataclass(frozen=True)
class Effort:
    """How networks are trained and how many images they are measured on.

    Attributes:
        is_quick: Small backbones, small patches and little training, for a CPU; the numbers say
            nothing about the paper's.
        megapixels: Of how many the evaluated images are at most, though there is one at least; 0
            for all images of the split.
    """

    is_quick: bool
    megapixels: float = 0

    def changes(
        self, method: Method, training_images: int, largest: Size, side: int | None = None
    ) -> list[str]:
        """The configuration of a method, as typed behind ``glnet train``, without its data.

        Args:
            method: Which.
            training_images: How many there are.
            largest: Of the images.
            side: Of what enters the network, if not the effort's own: patch and thumbnail of GLNet.
        """
        return [
            *self.framing(method, largest, side),
            *(self._quick(method, training_images) if self.is_quick else self._paper(method)),
            *method.changes,
        ]

    def whole_side(self, method: Method, largest: Size) -> int:
        """The side of the square that the whole image becomes for a compared network, in pixels.

        In a quick run twice that of a patch; else that of the image, or half of it for the networks
        that the paper names as too large.
        """
        longest = max(largest.height, largest.width)
        if self.is_quick:
            return min(2 * QUICK_SIDE, _multiple(longest))
        return _multiple(longest // 2 if method.network in TOO_LARGE else longest)

    def sides(self, sees: str, largest: Size) -> tuple[int, ...]:
        """The sizes of Figures 1b and 1c, in pixels.

        Args:
            sees: ``patches``, or the ``whole`` image.
            largest: Of the images.
        """
        if self.is_quick:
            return (64, 128, 256)
        longest = max(largest.height, largest.width)
        if sees == "whole":
            return tuple(_multiple(longest // shrunk) for shrunk in (5, 2, 1))
        return (250, 500, 1000)

    def framing(self, method: Method, largest: Size, side: int | None) -> list[str]:
        """The sizes of what enters a network, as `changes`."""
        usual = QUICK_SIDE if self.is_quick else 500
        patch = side or usual
        thumbnail = side or usual
        if method.network != "glnet" and method.sees == "whole":
            thumbnail = side or self.whole_side(method, largest)
        return [
            f"--framing.patch_size={patch}",
            f"--framing.thumbnail_size={thumbnail}",
            f"--framing.overlap={patch // 10}",
        ]

    def _paper(self, method: Method) -> Sequence[str]:
        backbone = "resnet50.tv_in1k"
        if method.network in VGG:
            backbone = {"fcn8s": "vgg16.tv_in1k", "segnet": "vgg16_bn.tv_in1k"}[method.network]
        words = [f"--architecture.backbone={backbone}", "--run.pretrained=true"]
        words += ["--run.normalization=imagenet"]
        words += [f"--stages.{name}.epochs={number}" for name, number in PAPER_EPOCHS.items()]
        words += ["--stages.local.patches=0", "--stages.refined.patches=0"]
        if method.network != "glnet" and method.sees == "whole":
            # "A minibatch size of 2 with weights updated every three minibatches" (footnote 5).
            words += ["--stages.context.micro_batch=2"]
        if method.network != "glnet":
            words += ["--stages.local.learning_rate=1e-4"]
        if "--coarse_to_fine.boxes=one" in method.changes:
            words += [f"--stages.coarse.epochs={PAPER_EPOCHS['context']}"]
        return words

    def _quick(self, method: Method, training_images: int) -> Sequence[str]:
        backbone = "resnet18"
        if method.network in VGG:
            backbone = {"fcn8s": "vgg11_bn", "segnet": "vgg11_bn"}[method.network]
        words = [f"--architecture.backbone={backbone}"]
        words += ["--architecture.fpn_width=64", "--architecture.refined_width=32"]
        words += ["--loss.gamma=2", "--loss.regularization_norm=mean_squared"]
        for name, images in QUICK_IMAGES.items():
            words += [f"--stages.{name}.epochs={math.ceil(images / training_images)}"]
            words += [f"--stages.{name}.learning_rate=3e-4"]
        words += ["--stages.context.images=4", "--stages.context.micro_batch=4"]
        words += ["--stages.local.images=1", "--stages.local.patches=6"]
        words += ["--stages.refined.images=1", "--stages.refined.patches=6"]
        words += ["--run.placement=random", "--run.patch_batch=8", "--run.validate_every=1000"]
        words += ["--run.device=cpu", "--follow.pictures=0", "--follow.tensorboard=false"]
        if "--coarse_to_fine.boxes=one" in method.changes:
            epochs = math.ceil(QUICK_IMAGES["context"] / training_images)
            words += [f"--stages.coarse.epochs={epochs}", "--stages.coarse.learning_rate=3e-4"]
            words += ["--stages.coarse.images=4", "--stages.coarse.micro_batch=4"]
        if method.network == "glnet":
            # A local branch starts where the context branch ended, for want of other weights.
            words += ["--stages.local.start=context"]
        return words


def _multiple(side: int) -> int:
    """A multiple of 32, as most networks shrink 32 times; no less than training takes at all."""
    return min(LARGEST_SIDE, max(64, math.ceil(side / 32) * 32))


PAPER = Effort(is_quick=False)
QUICK = Effort(is_quick=True, megapixels=16)
