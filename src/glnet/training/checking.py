"""Whether labelled images can train: found out before the first epoch, not hours into a run."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glnet.data import IGNORE_INDEX, DatasetDescription, LabelledDataset, LabelledSample
from glnet.errors import ConfigurationError, DatasetError, GLNetError
from glnet.geometry import Size, strips
from glnet.inference.pixels import LEAST_SIDE
from glnet.model.config import Framing
from glnet.raster import Raster
from glnet.training.progress import Steps, unseen

CHECKING = "reading every image and mask once"
"""What `check_splits` calls itself where it tells how it comes along."""

STRIP_PIXELS = 4_000_000
"""About as many pixels are read at once."""

NAMED = 5
"""So many faulty files are named."""


class Fault(NamedTuple):
    """An image or a mask that cannot train, and why."""

    name: str
    error: GLNetError


class Found(NamedTuple):
    """What reading an image and its mask once has shown.

    Attributes:
        size: Of both.
        counts: Pixels of every class (K,).
    """

    size: Size
    counts: NDArray[np.int64]


def check_splits(
    folder: LabelledDataset, names: Sequence[str], framing: Framing, progress: Steps = unseen
) -> dict[str, Found]:
    """Read images and masks of some splits once, strip by strip, and keep none of the pixels.

    It costs about what an epoch reads, and spares the run that ends at its last image.

    Args:
        folder: The labelled images.
        names: Of the splits.
        framing: How the network will look at the images.
        progress: Told after every image, as `CHECKING`.

    Returns:
        What was found, by stem.

    Raises:
        DatasetError: If there is no such split, a mask is missing, does not fit its image or has
            a value that stands for no class, an image is too small or has other bands than the
            first, or a split has no image or no labelled pixel. Of several faulty files the first
            `NAMED` are named.
        RasterError: If the only faulty file cannot be read.
    """
    samples = {sample.stem: sample for name in names for sample in folder.split(name)}
    faults: list[Fault] = []
    found: dict[str, Found] = {}
    bands: int | None = None
    for done, (stem, sample) in enumerate(samples.items(), start=1):
        name = sample.name
        try:
            size, bands = _read_image(sample, framing, bands)
            name = f"the mask of {name}"
            found[stem] = Found(size, _label_counts(sample, folder.description))
        except GLNetError as error:
            faults.append(Fault(name, error))
        progress(CHECKING, done, len(samples))
    if faults:
        raise _as_one(faults, len(samples))
    _require_labels(folder, names, found)
    return found


def check_framing(framing: Framing) -> None:
    """Refuse a framing with which batch normalisation cannot learn.

    Raises:
        ConfigurationError: If the patch or the thumbnail is too small.
    """
    smallest = min(framing.patch_size, framing.thumbnail_size)
    if smallest <= LEAST_SIDE:
        raise ConfigurationError(
            f"training needs patch_size and thumbnail_size over {LEAST_SIDE}, got {smallest}: "
            "batch normalisation has no variance over a single value"
        )


def check_image(raster: Raster, framing: Framing, bands: int) -> None:
    """Refuse an image that cannot train, by its header.

    Raises:
        DatasetError: If it has other bands than those before it, or is too small.
    """
    if raster.bands != bands:
        raise DatasetError(
            f"{raster.name} has {raster.bands} bands, the images before have {bands}; "
            "images of a dataset must have the same bands"
        )
    least = LEAST_SIDE * framing.reduction
    if min(raster.size.height, raster.size.width) <= least:
        raise DatasetError(
            f"{raster.name} is {raster.size}, training needs sides over {least} px; "
            "leave it out of the split"
        )


def _read_image(sample: LabelledSample, framing: Framing, bands: int | None) -> tuple[Size, int]:
    """Read all pixels; returns the size, and how many bands an image must have."""
    with sample.open_image() as raster:
        bands = bands or raster.bands
        check_image(raster, framing, bands)
        for strip in strips(raster.size, _rows(raster.size)):
            raster.read(strip)
        return raster.size, bands


def _label_counts(sample: LabelledSample, description: DatasetDescription) -> NDArray[np.int64]:
    """Read all labels, and count the pixels of every class."""
    counts = np.zeros(IGNORE_INDEX + 1, np.int64)
    with sample.open_labels(description) as labels:
        for strip in strips(labels.size, _rows(labels.size)):
            counts += np.bincount(labels.read(strip).ravel(), minlength=len(counts))
    return counts[: description.num_classes]


def _rows(size: Size) -> int:
    return max(1, STRIP_PIXELS // size.width)


def _as_one(faults: list[Fault], total: int) -> GLNetError:
    """The error itself; of several the first, with the names of the others."""
    first, *others = faults
    if not others:
        return first.error
    listed = ", ".join(fault.name for fault in others[: NAMED - 1])
    more = f" and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    return DatasetError(
        f"{len(faults)} of {total} labelled images cannot train: {first.error}; "
        f"something is wrong with {listed}{more}, too"
    )


def _require_labels(folder: LabelledDataset, names: Sequence[str], found: dict[str, Found]) -> None:
    for name in names:
        samples = folder.split(name)
        if not samples:
            raise DatasetError(f"{folder.name}: split {name!r} has no images")
        if not any(found[sample.stem].counts.any() for sample in samples):
            raise DatasetError(
                f"{folder.name}: the masks of split {name!r} ignore every pixel; "
                "is mask.ignore the value of a class?"
            )
