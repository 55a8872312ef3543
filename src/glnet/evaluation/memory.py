"""What an evaluation holds beside its predictions, and whether a memory that is named is enough."""

import tempfile
from collections.abc import Sequence

from glnet.data import DatasetDescription, LabelledSample, LabelRaster
from glnet.errors import ConfigurationError, GLNetError
from glnet.evaluation.opening import opened
from glnet.geometry import Size
from glnet.inference.estimate import estimate
from glnet.inference.host_memory import Beside
from glnet.inference.machine import is_in_memory
from glnet.inference.prediction import strip_height
from glnet.inference.predictor import Predictor
from glnet.inference.settings import Settings
from glnet.inference.streaming import Answer
from glnet.model.checkpoint import Model
from glnet.model.coarse import coarse_of

COUNTING_BYTES = 20
"""Per pixel of a strip, on the device: answers, truth and their pairs, in int32."""

DECODING_BYTES = 40
"""Per pixel of a strip, in host memory: a mask as it is read, and its colours looked up."""


def evaluation_bytes(labels: LabelRaster) -> Beside:
    """What the labels of an image take, and counting its answers."""
    size = labels.size
    pixels = min(strip_height(size), size.height) * size.width
    return Beside(labels.decoded_bytes + DECODING_BYTES * pixels, COUNTING_BYTES * pixels)


def check_memory(
    samples: Sequence[LabelledSample], description: DatasetDescription, predictor: Predictor
) -> None:
    """Refuse images that the memory of the settings is too small for, before the first prediction.

    The largest comes first, so that what fits it is not sought again for the others, and so that
    the error tells what is enough for all.

    Raises:
        ConfigurationError: If there is one, or scratch files would take that memory.
        DatasetError: If a mask does not fit its image.
        RasterError: If a file cannot be opened.
    """
    settings = predictor.settings
    if settings.memory is None and settings.host_memory is None:
        return
    folder = settings.scratch or tempfile.gettempdir()
    if settings.host_memory is not None and is_in_memory(folder):
        raise ConfigurationError(
            f"scratch files in {folder} would take host memory, which --host-memory bounds; set "
            "TMPDIR to a folder on a disk"
        )
    for sample in sorted(samples, key=_area, reverse=True):
        with opened(sample, description) as (raster, labels):
            predictor.fitted(raster, evaluation_bytes(labels))


ONE_AT_ONCE = Settings(device="cuda", patch_batch=1)
"""As the paper measures memory: a minibatch of 1, no gradients (section 4.1)."""


def largest_size(samples: Sequence[LabelledSample]) -> Size:
    """The size of the image of most pixels; of at least one sample.

    Raises:
        RasterError: If a file cannot be opened.
    """
    return max((_size(sample) for sample in samples), key=lambda size: size.area)


def estimated_memory(model: Model, answers: Sequence[str], size: Size) -> dict[str, int]:
    """The bytes that predicting an image takes on a GPU, which need not be here, by answer.

    An answer is left out where that cannot be estimated, such as of a network that is not ours.
    """
    found = {}
    for answer in answers:
        try:
            found[answer] = _estimated(model, Answer(answer), size)
        except (GLNetError, RuntimeError):
            continue
    return found


def _estimated(model: Model, answer: Answer, size: Size) -> int:
    if answer is Answer.COARSE:
        return estimate(coarse_of(model), size, ONE_AT_ONCE, counts=False).device_bytes
    return estimate(model, size, ONE_AT_ONCE, counts=False, wanted=(answer,)).device_bytes


def _area(sample: LabelledSample) -> int:
    return _size(sample).area


def _size(sample: LabelledSample) -> Size:
    with sample.open_image() as raster:
        return raster.size
