"""What stands in for images, losses and numbers where a training step runs without content.

Tensors are on torch's ``meta`` device: they have shapes and no memory (`estimating.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from glnet.geometry import Size, Window
from glnet.model.config import Framing
from glnet.training.augmentation import Turn
from glnet.training.config import StageConfig, TrainingConfig
from glnet.training.feeding import Feed
from glnet.training.images import Thumbnail
from glnet.training.plan import Part, Plan
from glnet.training.portions import Portions
from glnet.training.preparation import choice_of, schedule_of
from glnet.training.stages import Feeds


class ContentlessImage:
    """Stands for an image and its mask; what is read of it lies on the host, as in a run.

    Args:
        framing: Sizes.
        classes: How many there are.
        bands: Of the image.
    """

    stem = "an image without content"

    def __init__(self, framing: Framing, classes: int, bands: int) -> None:
        self._framing = framing
        self._classes = classes
        self._bands = bands

    def within(self, box: Window) -> "ContentlessImage":
        """A box of it, which has no content either."""
        del box
        return self

    def thumbnail(self, turn: Turn) -> Thumbnail:
        """The whole image."""
        del turn
        side = self._framing.thumbnail_size
        return Thumbnail(_zeros(self._bands, side, side), _zeros(side, side, dtype=torch.uint8))

    def pixels(self, windows: Sequence[Window], turn: Turn) -> Tensor:
        """Pixels (P, bands, p, p) of windows."""
        del turn
        return _zeros(len(windows), self._bands, *self._sides(windows))

    def labels(self, windows: Sequence[Window], turn: Turn) -> Tensor:
        """Labels (P, p, p) of windows."""
        del turn
        return _zeros(len(windows), *self._sides(windows), dtype=torch.uint8)

    def label_counts(self, windows: Sequence[Window], turn: Turn) -> Tensor:
        """A pixel of every class: (K,)."""
        del windows, turn
        return torch.ones(self._classes, dtype=torch.int64)

    def _sides(self, windows: Sequence[Window]) -> tuple[int, int]:
        size, factor = windows[0].size, self._framing.reduction
        return -(-size.height // factor), -(-size.width // factor)


def _zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """One zero that looks like many."""
    return torch.zeros((), dtype=dtype).expand(shape)


def contentless_feeds(
    config: TrainingConfig, name: str, stage: StageConfig, image: ContentlessImage, size: Size
) -> Feeds:
    """What a stage would see, every image laid alike; as the first of several devices."""
    choice = replace(
        choice_of(config, name, stage),
        flips=False,
        quarter_turns=False,
        photometric=0.0,
        foreground=0.0,
    )
    sizes = [size] * stage.images
    plan = Plan(sizes, config.framing, choice, stage.images, schedule_of(name), "an estimate")
    plan.part = Part(0, config.run.devices * config.run.num_nodes)
    feed = Feed(plan, Portions([image], has_thumbnails=False), workers=0)
    return Feeds(feed, feed, 0)


class Descent:
    """Differentiates, and nothing else."""

    scale = 1.0

    def __call__(self, loss: Tensor) -> None:
        """Find the gradients."""
        loss.backward()  # type: ignore[no-untyped-call]


class Unknowing(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Answers in the place of tensors without content where an operation asks for it.

    A number is taken as 1, which is finite; as many kinds are counted as are asked for at least.
    """

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        """Run an operation, or guess its answer."""
        del types
        kwargs = kwargs or {}
        of = args[0] if args else None
        if isinstance(of, Tensor) and of.is_meta:
            if func is torch.ops.aten._local_scalar_dense.default:
                return 1.0 if of.is_floating_point() else 1
            if func is torch.ops.aten.bincount.default:
                least = args[2] if len(args) > 2 else kwargs.get("minlength", 0)
                return of.new_empty(cast(int, least), dtype=torch.int64)
        return func(*args, **kwargs)
