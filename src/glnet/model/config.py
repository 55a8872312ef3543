"""What a model is: the architecture, how it looks at a raster, and what its classes mean.

All of it travels in the checkpoint's ``config.json``. Defaults come from the paper, section 4.1,
unless their comment says otherwise.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from glnet.baselines.building import NetworkName
from glnet.data.classes import IGNORE_INDEX, ClassInfo
from glnet.errors import ConfigurationError
from glnet.geometry import GridRule, PatchGrid, Size, patch_grid
from glnet.model.resampling import Sampling

LARGEST_SIDE = 8192
"""Patches and thumbnails beyond this are surely a mistake: they are what the device must hold."""


Network = Literal["glnet"] | NetworkName
"""GLNet, or one of the networks that the paper compares it with (Tables 3, 5 and 7)."""

Branches = Literal["global", "local", "both"]
"""Which of the paper's branches there are (Table 2, first rows)."""

Sharing = Literal["none", "global_to_local", "bidirectional"]
"""Who hears whom (Table 2; section 3.2.2)."""

SharingDepth = Literal["shallow", "deep"]
"""How many layers are shared (Table 2).

- shallow: one, the refined maps, heard just before the branch's last convolution;
- deep: backbone, top-down, smooth and refined maps.
"""


Boxes = Literal["one", "each"]
"""Of coarse-to-fine segmentation: one box around all foreground, or one around each component."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The network's parts.

    Attributes:
        network: GLNet, or a network to compare it with, in the place of its one branch: of the
            patches (``branches: local``) or of the whole raster (``branches: global``).
        backbone: Name of a timm network with levels at strides 4, 8, 16 and 32; of VGG, for
            ``fcn8s`` and ``segnet``.
        fpn_width: Channels of the pyramid (published: 256).
        refined_width: Channels of its last layer (published: 128).
        branches: Which branches there are.
        sharing: Who hears whom.
        sharing_depth: At how many layers.
        aggregation: Whether both branches' last maps are fused into the answer.

    Raises:
        ConfigurationError: If the parts do not fit together.
    """

    network: Network = "glnet"
    backbone: str = "resnet50"
    fpn_width: int = 256
    refined_width: int = 128
    branches: Branches = "both"
    sharing: Sharing = "bidirectional"
    sharing_depth: SharingDepth = "deep"
    aggregation: bool = True

    def __post_init__(self) -> None:
        if min(self.fpn_width, self.refined_width) < 1:
            raise ConfigurationError("fpn_width and refined_width must be at least 1")
        if self.network != "glnet" and self.branches == "both":
            raise ConfigurationError(
                f"{self.network} shares nothing: it needs branches: local (it sees patches) or "
                "branches: global (it sees the whole raster as its thumbnail), sharing: none and "
                "aggregation: false"
            )
        if self.branches != "both" and (self.aggregation or self.sharing != "none"):
            raise ConfigurationError(
                f"a model of the {self.branches} branch alone needs sharing: none and "
                f"aggregation: false, got sharing: {self.sharing}, aggregation: {self.aggregation}"
            )
        if self.sharing == "bidirectional" and not self.aggregation:
            raise ConfigurationError(
                "bidirectional sharing reaches the answer only through the aggregation layer; "
                "set aggregation: true or sharing: global_to_local"
            )


@dataclass(frozen=True, kw_only=True)
class Framing:
    """How the network looks at a raster.

    Attributes:
        patch_size: Side of the patch that enters the network, in pixels.
        thumbnail_size: Side of the thumbnail; the whole raster, aspect not kept.
        overlap: Least overlap of neighbouring patches, in pixels of the patch.
        reduction: The local branch sees the raster shrunk by this whole factor (block means), so
            a patch covers ``patch_size * reduction`` raster pixels. 1 in the paper.
        sampling: How maps move between the branches; published checkpoints need `published`.

    Raises:
        ConfigurationError: If a size is impossible.
    """

    patch_size: int = 500
    thumbnail_size: int = 500
    overlap: int = 50
    reduction: int = 1
    sampling: Sampling = "exact"

    def __post_init__(self) -> None:
        for name in ("patch_size", "thumbnail_size"):
            if not 32 <= getattr(self, name) <= LARGEST_SIDE:
                raise ConfigurationError(
                    f"{name} must be from 32 to {LARGEST_SIDE}, got {getattr(self, name)}"
                )
        if not 0 <= self.overlap < self.patch_size:
            raise ConfigurationError(
                f"overlap must be at least 0 and under patch_size {self.patch_size}, "
                f"got {self.overlap}"
            )
        if self.reduction < 1:
            raise ConfigurationError(f"reduction must be at least 1, got {self.reduction}")

    @property
    def thumbnail(self) -> Size:
        """The thumbnail's size."""
        return Size(self.thumbnail_size, self.thumbnail_size)

    def grid(self, raster: Size) -> PatchGrid:
        """The patches of a raster, in raster pixels."""
        extent = self.patch_size * self.reduction
        rule = GridRule.PUBLISHED if self.sampling == "published" else GridRule.EXACT
        return patch_grid(raster, Size(extent, extent), self.overlap * self.reduction, rule)


@dataclass(frozen=True)
class Normalization:
    """Per band: ``(pixel - mean) / std``, in the units of the file.

    Raises:
        ConfigurationError: If the two differ in length or a deviation is not positive.
    """

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (255.0, 255.0, 255.0)

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise ConfigurationError("normalization needs a mean and a std for every band")
        if not all(math.isfinite(value) for value in (*self.mean, *self.std)):
            raise ConfigurationError(
                f"normalization needs finite numbers, got mean {self.mean} and std {self.std}"
            )
        if not all(value > 0 for value in self.std):
            raise ConfigurationError(f"normalization needs positive std, got {self.std}")

    @property
    def bands(self) -> int:
        """The number of bands the model takes."""
        return len(self.mean)


@dataclass(frozen=True, kw_only=True)
class TrainingExtent:
    """The rasters a model was trained on: the scale at which its thumbnail means something."""

    smallest: Size
    largest: Size


@dataclass(frozen=True, kw_only=True)
class CoarseToFine:
    """Coarse-to-fine segmentation (section 3.3): a coarse branch says where the others look.

    The coarse branch sees the thumbnail of the whole raster. Boxes around what it takes for
    foreground are whole rasters to the other branches; all else is background, the first class.

    Attributes:
        boxes: ``one`` around all foreground (the paper), or one around ``each`` component.
        ratio: How many pixels of foreground come, at most, on one of background in a box that is
            relaxed (footnote 1: about 1).
        margin: How much farther a box reaches at least on every side, as a share of its height or
            width: the coarse branch misses what is small. Not in the paper.
        threshold: How probable foreground must be to be taken for it; the paper's 0.5 by default.
            Where much of it is too thin for a thumbnail, a lower one draws larger boxes.

    Raises:
        ConfigurationError: If the ratio is not positive, the margin negative, or the threshold not
            between 0 and 1.
    """

    boxes: Boxes = "one"
    ratio: float = 1.0
    margin: float = 0.1
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ConfigurationError(
                f"coarse_to_fine.threshold must be between 0 and 1, got {self.threshold}"
            )
        if not 0 <= self.margin < math.inf:
            raise ConfigurationError(
                f"coarse_to_fine.margin must be 0 or more and finite, got {self.margin}"
            )
        if not 0 < self.ratio < math.inf:
            raise ConfigurationError(
                f"coarse_to_fine.ratio must be positive and finite, got {self.ratio}"
            )


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """All that prediction needs beside the weights.

    Raises:
        ConfigurationError: If there are under 2 or over 255 classes, or two of one name; or over 2
            for coarse-to-fine segmentation.
    """

    classes: tuple[ClassInfo, ...]
    architecture: Architecture = field(default_factory=Architecture)
    framing: Framing = field(default_factory=Framing)
    normalization: Normalization = field(default_factory=Normalization)
    training_extent: TrainingExtent | None = None
    coarse_to_fine: CoarseToFine | None = None

    def __post_init__(self) -> None:
        if not 2 <= len(self.classes) <= IGNORE_INDEX:
            raise ConfigurationError(
                f"a model needs 2 to {IGNORE_INDEX} classes, got {len(self.classes)}"
            )
        if len({info.name for info in self.classes}) < len(self.classes):
            raise ConfigurationError("the names of a model's classes must differ")
        if self.coarse_to_fine is not None and self.architecture.network != "glnet":
            raise ConfigurationError(
                "coarse_to_fine is GLNet's; leave it out of the configuration of "
                f"{self.architecture.network}"
            )
        if self.coarse_to_fine is not None and len(self.classes) > 2:
            raise ConfigurationError(
                "coarse_to_fine is for background and one class of foreground, got "
                f"{len(self.classes)} classes; for many classes, leave it out and predict with "
                "--refine-below, which refines where the global branch is unsure"
            )
