"""Whether labelled images can train: found out before the first epoch, not hours into a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from glnet.data import IGNORE_INDEX, DatasetDescription, Sample, SegmentationFolder
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
    """A file that cannot train, and why."""

    file: Path
    error: GLNetError


def check_splits(
    folder: SegmentationFolder, names: Sequence[str], framing: Framing, progress: Steps = unseen
) -> None:
    """Read images and masks of some splits once, strip by strip, and keep nothing of them.

    It costs about what an epoch reads, and spares the run that ends at its last image.

    Args:
        folder: The labelled images.
        names: Of the splits.
        framing: How the network will look at the images.
        progress: Told after every image, as `CHECKING`.

    Raises:
        DatasetError: If there is no such split, a mask is missing, does not fit its image or has
            a value that stands for no class, an image is too small or has other bands than the
            first, or a split has no image or no labelled pixel. Of several faulty files the first
            `NAMED` are named.
        RasterError: If the only faulty file cannot be read.
    """
    samples = {sample.stem: sample for name in names for sample in folder.split(name)}
    faults: list[Fault] = []
    labelled: set[str] = set()
    bands: int | None = None
    for done, (stem, sample) in enumerate(samples.items(), start=1):
        file = sample.image
        try:
            bands = _read_image(sample, framing, bands)
            file = sample.mask or file
            if _has_labels(sample, folder.description):
                labelled.add(stem)
        except GLNetError as error:
            faults.append(Fault(file, error))
        progress(CHECKING, done, len(samples))
    if faults:
        raise _as_one(faults, len(samples))
    _require_labels(folder, names, labelled)


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


def _read_image(sample: Sample, framing: Framing, bands: int | None) -> int:
    """Read all pixels; returns how many bands an image must have."""
    with sample.open_image() as raster:
        bands = bands or raster.bands
        check_image(raster, framing, bands)
        for strip in strips(raster.size, _rows(raster.size)):
            raster.read(strip)
    return bands


def _has_labels(sample: Sample, description: DatasetDescription) -> bool:
    """Read all labels, and tell whether one of them counts."""
    is_labelled = False
    with sample.open_labels(description) as labels:
        for strip in strips(labels.size, _rows(labels.size)):
            is_labelled |= bool((labels.read(strip) != IGNORE_INDEX).any())
    return is_labelled


def _rows(size: Size) -> int:
    return max(1, STRIP_PIXELS // size.width)


def _as_one(faults: list[Fault], total: int) -> GLNetError:
    """The error itself; of several the first, with the names of the others."""
    first, *others = faults
    if not others:
        return first.error
    listed = ", ".join(str(fault.file) for fault in others[: NAMED - 1])
    more = f" and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    return DatasetError(
        f"{len(faults)} of {total} labelled images cannot train: {first.error}; "
        f"something is wrong with {listed}{more}, too"
    )


def _require_labels(folder: SegmentationFolder, names: Sequence[str], labelled: set[str]) -> None:
    for name in names:
        samples = folder.split(name)
        if not samples:
            raise DatasetError(f"{folder.root}: split {name!r} has no images")
        if not any(sample.stem in labelled for sample in samples):
            raise DatasetError(
                f"{folder.root}: the masks of split {name!r} ignore every pixel; "
                "is mask.ignore the value of a class?"
            )
