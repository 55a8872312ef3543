"""Which boxes of images the stages after the coarse one look at (section 3.3).

Boxes are drawn as prediction draws them (`inference/boxes.py`), around the foreground of the truth
and around what the coarse branch takes for foreground.
"""

import copy
import random
from collections.abc import Mapping, Sequence

import torch

from glnet.data import DatasetDescription, LabelledSample
from glnet.geometry import Size, Window
from glnet.inference.boxes import Mask, boxes_of
from glnet.inference.coarse import foreground_of, least_box
from glnet.inference.sampling import sampled
from glnet.model.branch import Branch
from glnet.model.config import ModelConfig, TrainingExtent
from glnet.training.config import CoarseToFineTraining
from glnet.training.images import LabelledImage, is_foreground
from glnet.training.pixel_statistics import extent_of
from glnet.training.progress import Steps, unseen

Drawn = Mapping[str, tuple[Window, ...]]
"""The boxes of images, by stem; none where there is no foreground."""

DRAWING = "drawing boxes around the truth"
PREDICTING = "predicting boxes"
"""What these call themselves where they tell how they come along."""


class BoxDrawing:
    """Draws the boxes of a model's images.

    Args:
        config: Of a coarse-to-fine model; its normalisation is not looked at.
        progress: Told after every image.

    Raises:
        ValueError: If the model is of another kind.
    """

    def __init__(self, config: ModelConfig, progress: Steps = unseen) -> None:
        if config.coarse_to_fine is None:
            raise ValueError("boxes are drawn for coarse-to-fine models alone")
        self._rule = config.coarse_to_fine
        self._thumbnail = config.framing.thumbnail
        self._least = least_box(config)
        self._progress = progress

    def around_truth(
        self, samples: Sequence[LabelledSample], description: DatasetDescription
    ) -> Drawn:
        """Read every mask once, at the size of the thumbnail, and draw around its foreground.

        Raises:
            DatasetError: If a mask is not as described.
            RasterError: If a mask cannot be read.
        """
        drawn = {}
        for done, sample in enumerate(samples, start=1):
            with sample.open_labels(description) as labels:
                truth = is_foreground(sampled(labels.read, labels.size, self._thumbnail))
                drawn[sample.stem] = self._around(truth, labels.size)
            self._progress(DRAWING, done, len(samples))
        return drawn

    def around_predicted(
        self, branch: Branch, images: Sequence[LabelledImage], device: torch.device
    ) -> Drawn:
        """Run the coarse branch on every thumbnail, and draw around what it takes for foreground.

        One image at a time and in float32, so that boxes depend on the weights and the image alone.

        Raises:
            RasterError: If an image cannot be read.
        """
        # A copy, so that wherever the branch is and whatever it does there, nothing of it changes.
        seeing = copy.deepcopy(branch).to(device).eval()
        drawn = {}
        for done, image in enumerate(images, start=1):
            thumbnail = image.thumbnail().pixels[None].to(device)
            with torch.no_grad():
                logits = seeing(thumbnail).logits
            found = foreground_of(logits, self._thumbnail, self._rule.threshold)[0]
            if image.measured is not None:
                found &= image.measured
            drawn[image.stem] = self._around(found, image.size)
            self._progress(PREDICTING, done, len(images))
        return drawn

    def _around(self, foreground: Mask, raster: Size) -> tuple[Window, ...]:
        return boxes_of(foreground, raster, self._rule, self._least)


class BoxChoice:
    """Which box of an image a look takes: of the truth or predicted, and moved a little.

    Args:
        how: Of the run.
        least: The sides that a box has at least, as far as its image has.
        truth: Of the training images.
    """

    def __init__(self, how: CoarseToFineTraining, least: Size, truth: Drawn) -> None:
        self._how = how
        self._least = least
        self._truth = truth
        self._predicted: Drawn | None = None

    @property
    def knows_predicted(self) -> bool:
        """Whether the coarse branch has predicted its boxes."""
        return self._predicted is not None

    @property
    def extent(self) -> TrainingExtent | None:
        """Of all boxes of the truth; None where there is no foreground at all."""
        sizes = [box.size for boxes in self._truth.values() for box in boxes]
        return extent_of(sizes) if sizes else None

    def take_predicted(self, boxes: Drawn) -> None:
        """Learn what the coarse branch, once it is trained, has predicted for all images."""
        self._predicted = boxes

    def by_luck(self, stem: str, image: Size, rng: random.Random) -> Window | None:
        """A box of a training image; None, all of it, where the truth or the branch has none.

        Raises:
            ValueError: If no boxes were predicted yet.
        """
        is_truth = rng.random() < self._how.truth
        boxes = (self._truth if is_truth else self._known())[stem]
        if not boxes:
            return None
        return jittered(rng.choice(boxes), image, self._how.jitter, self._least, rng)

    def largest(self, stem: str) -> Window | None:
        """The largest box that is predicted for an image; None, all of it, where none is.

        Raises:
            ValueError: If no boxes were predicted yet.
        """
        return max(self._known()[stem], key=lambda of: of.size.area, default=None)

    def _known(self) -> Drawn:
        if self._predicted is None:
            raise ValueError(
                "a box is asked for, expected the coarse branch to have predicted it; "
                "start the stage first"
            )
        return self._predicted


def jittered(box: Window, image: Size, share: float, least: Size, rng: random.Random) -> Window:
    """A box whose four sides have moved at random.

    Args:
        box: Inside the image, with the least sides as far as the image has.
        image: What the box stays in.
        share: Of the box's height or width, by which a side moves at most.
        least: The sides that the box has at least, as far as it had them before.
        rng: Whose luck decides.
    """
    top, bottom = _moved((box.row, box.row_stop), image.height, share, least.height, rng)
    left, right = _moved((box.column, box.column_stop), image.width, share, least.width, rng)
    return Window(top, left, Size(bottom - top, right - left))


def _moved(
    side: tuple[int, int], length: int, share: float, least: int, rng: random.Random
) -> tuple[int, int]:
    start, stop = side
    reach = int(share * (stop - start))
    first = max(0, start + rng.randint(-reach, reach))
    last = min(length, stop + rng.randint(-reach, reach))
    # An end that came in goes back, but no further than to where it was: so neither moves too far.
    missing = max(0, min(least, stop - start) - (last - first))
    back = min(missing, max(0, first - start))
    return first - back, last + missing - back
