"""What headers alone can tell, before hours of work are spent on a split with a bad image in it."""

from collections.abc import Callable, Sequence

from glnet.data import DatasetDescription, LabelledSample
from glnet.errors import DatasetError, GLNetError
from glnet.evaluation.opening import opened
from glnet.inference.pixels import require_bands

MOST_NAMED = 3
"""So many faults are told in full."""


def check_files(
    samples: Sequence[LabelledSample],
    description: DatasetDescription,
    bands: int,
    progress: Callable[[str, int, int], None],
) -> None:
    """Open every image and mask, and read the header only.

    Args:
        samples: What is to be evaluated.
        description: How masks show classes.
        bands: How many the model takes.
        progress: Told how many were opened.

    Raises:
        InputMismatchError: If images have another number of bands.
        RasterError: If files do not open.
        DatasetError: If masks are missing or of another size or kind than they should be, or the
            faults are of several kinds. Every one says how many images have faults.
    """
    faults: list[GLNetError] = []
    for done, sample in enumerate(samples):
        progress("checking files", done, len(samples))
        try:
            _check(sample, description, bands)
        except GLNetError as error:
            faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise _united(faults, len(samples))


def _united(faults: Sequence[GLNetError], samples: int) -> GLNetError:
    """One error that tells the first faults; of their kind, if they have only one."""
    kinds = {type(fault) for fault in faults}
    kind = kinds.pop() if len(kinds) == 1 else DatasetError
    more = f"; and {len(faults) - MOST_NAMED} more" if len(faults) > MOST_NAMED else ""
    told = "; ".join(str(fault) for fault in faults[:MOST_NAMED])
    return kind(f"{len(faults)} of {samples} images cannot be evaluated: {told}{more}")


def _check(sample: LabelledSample, description: DatasetDescription, bands: int) -> None:
    with opened(sample, description) as (image, _):
        require_bands(image, bands)
