"""A labelled image, opened."""

from collections.abc import Iterator
from contextlib import contextmanager

from glnet.data import DatasetDescription, LabelRaster, Sample, open_labels
from glnet.raster import Raster, open_raster


@contextmanager
def opened(sample: Sample, description: DatasetDescription) -> Iterator[tuple[Raster, LabelRaster]]:
    """An image and its labels, which are known to be of its size.

    Raises:
        DatasetError: If there is no mask, or it is of another size or kind than it should be.
        RasterError: If a file cannot be opened.
    """
    with open_raster(sample.image) as raster, open_labels(sample, description) as labels:
        yield raster, labels
