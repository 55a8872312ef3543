"""A labelled image, opened."""

from collections.abc import Iterator
from contextlib import contextmanager

from glnet.data import DatasetDescription, LabelledSample, LabelRaster
from glnet.raster import Raster


@contextmanager
def opened(
    sample: LabelledSample, description: DatasetDescription
) -> Iterator[tuple[Raster, LabelRaster]]:
    """An image and its labels, which are known to be of its size.

    Raises:
        DatasetError: If there is no mask, or it is of another size or kind than it should be.
        RasterError: If a file cannot be opened.
    """
    with sample.open_image() as raster, sample.open_labels(description) as labels:
        yield raster, labels
