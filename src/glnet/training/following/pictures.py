"""The same images again and again while a model learns: picture, truth and the three answers.

Every picture is a whole prediction at full resolution, read window by window, so it costs time but
no more memory than prediction does. Training does not notice: same weights after as without.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch.loggers import Logger
from torch import nn

from glnet.data import DatasetDescription, LabelledSample
from glnet.errors import ConfigurationError
from glnet.evaluation.comparison import Picture, columns_of, compare
from glnet.inference.streaming import Settings
from glnet.model.checkpoint import Model
from glnet.raster import write_picture
from glnet.training.following.files import make_folder
from glnet.training.following.picture_files import Standing, picture_path
from glnet.training.following.telling import log_picture

AsTrained = Callable[[Model, str], Model]
"""The model as far as a stage has trained it, with the network's own parts, not copies."""

Drawing = Callable[[str, int, int], None]
"""Told the image that is next, how many are drawn and how many there are."""

SIDE = 320
"""Pixels of a panel's longer side at most."""


class FixedImages:
    """Draws a model's answers on a fixed set of images.

    Args:
        samples: The images.
        description: How their masks are read.
        folder: Where ``<stem>/<stage>-<epoch>.png`` go.
        as_trained: Leaves out of the model what trains later.
        settings: How predictions run; the device is the network's own, whatever is said here.
    """

    def __init__(
        self,
        samples: Sequence[LabelledSample],
        description: DatasetDescription,
        folder: Path,
        as_trained: AsTrained,
        settings: Settings,
    ) -> None:
        self.samples = tuple(samples)
        self._description = description
        self._folder = folder
        self._as_trained = as_trained
        self._settings = settings

    def draw(
        self,
        model: Model,
        standing: Standing,
        loggers: Sequence[Logger] = (),
        drawing: Drawing = lambda *_: None,
    ) -> list[Path]:
        """Draw all images with the model as it is; nothing about it or its training changes.

        Returns:
            The pictures; one of the same stage and epoch is replaced.

        Raises:
            InputMismatchError: If an image has other bands than the model.
            RasterError: If an image cannot be read.
            DatasetError: If a mask is not as described, or of another size than its image.
            OutputError: If a picture cannot be written.
        """
        paths = []
        for done, sample in enumerate(self.samples):
            drawing(sample.stem, done, len(self.samples))
            path = picture_path(self._folder, sample.stem, standing)
            with undisturbed(model.network):
                picture = self._picture(self._as_trained(model, standing.stage), sample)
            make_folder(path.parent)
            write_picture(path, picture, overwrite=True)
            log_picture(loggers, f"answers/{sample.stem}", picture, standing.step)
            paths.append(path)
        drawing("", len(self.samples), len(self.samples))
        return paths

    def _picture(self, model: Model, sample: LabelledSample) -> Picture:
        settings = replace(self._settings, device=str(_device_of(model.network)))
        with ExitStack() as stack:
            raster = stack.enter_context(sample.open_image())
            truth = stack.enter_context(sample.open_labels(self._description))
            return compare(columns_of(model), raster, truth, settings, SIDE)


def fixed_samples(
    samples: Sequence[LabelledSample], stems: Sequence[str], count: int
) -> list[LabelledSample]:
    """The images of the named stems, in their order; if none is named, the first ``count``.

    Raises:
        ConfigurationError: If there is no image of a stem.
    """
    if not stems:
        return list(samples[: max(0, count)])
    known = {sample.stem: sample for sample in samples}
    if missing := [stem for stem in stems if stem not in known]:
        raise ConfigurationError(
            f"pictures: the split has no image {missing[0]!r}; expected stems such as "
            f"{', '.join(list(known)[:3])}"
        )
    return [known[stem] for stem in stems]


def is_due(every: float, before: float, now: float, *, is_last: bool) -> bool:
    """Whether pictures are drawn after a round.

    Args:
        every: Epochs between pictures; 0 is never.
        before: Epochs done before the round.
        now: Epochs done after it.
        is_last: Whether the stage ends here.
    """
    if every <= 0:
        return False
    slack = 1e-6  # Epochs are sums of parts.
    return is_last or math.floor(now / every + slack) > math.floor(before / every + slack)


@contextmanager
def undisturbed(network: nn.Module) -> Iterator[None]:
    """Whatever is done with a network meanwhile, training goes on as if it had not been done.

    No gradients; afterwards every part is in training or evaluation as before, and the random
    numbers of torch, numpy and Python go on where they were.
    """
    modes = [(part, part.training) for part in network.modules()]
    luck, numpy_luck = random.getstate(), np.random.get_state()
    device = _device_of(network)
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
            yield
    finally:
        for part, is_training in modes:
            part.training = is_training
        random.setstate(luck)
        np.random.set_state(numpy_luck)


def _device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
