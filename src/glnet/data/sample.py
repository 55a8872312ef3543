"""An image with its mask, which opens both."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from glnet.data.description import DatasetDescription
from glnet.data.masks import LabelRaster, open_labels
from glnet.errors import DatasetError
from glnet.raster import Raster, open_raster


class LabelledSample(Protocol):
    """An image whose labels are known, wherever their pixels come from."""

    @property
    def stem(self) -> str:
        """Its name in splits and reports."""
        ...

    @property
    def name(self) -> str:
        """What to call it in messages: the path, for a file."""
        ...

    def open_image(self) -> AbstractContextManager[Raster]:
        """The image's pixels, for a ``with`` block.

        Raises:
            RasterError: If they cannot be opened.
        """
        ...

    def open_labels(self, description: DatasetDescription) -> AbstractContextManager[LabelRaster]:
        """The labels, as large as the image, for a ``with`` block.

        Raises:
            DatasetError: If there are none, their size is not the image's, or they are of a kind
                that cannot be labels.
            RasterError: If they cannot be opened.
        """
        ...


class LabelledDataset(Protocol):
    """Labelled images in splits, wherever they come from."""

    @property
    def name(self) -> str:
        """What to call it in messages: the folder, for one."""
        ...

    @property
    def description(self) -> DatasetDescription:
        """Its classes, and how masks show them."""
        ...

    @property
    def groups(self) -> Mapping[str, str]:
        """The group of every stem, where there are groups: its city, for Inria."""
        ...

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits; ``all`` is one of them."""
        ...

    def split(self, name: str) -> Sequence[LabelledSample]:
        """The samples of a split.

        Raises:
            DatasetError: If there is no such split, or a part of it is missing.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """An image file and, where it has one, its mask; they share the stem."""

    stem: str
    image: Path
    mask: Path | None = None

    @property
    def name(self) -> str:
        """The image's path."""
        return str(self.image)

    def open_image(self) -> AbstractContextManager[Raster]:
        """The image's pixels, for a ``with`` block.

        Raises:
            RasterError: If the file cannot be opened.
        """
        return open_raster(self.image)

    def open_labels(self, description: DatasetDescription) -> AbstractContextManager[LabelRaster]:
        """The labels, once the mask is known to be as large as the image; for a ``with`` block.

        Raises:
            DatasetError: If there is no mask, its size is not the image's, or its pixels are of a
                kind that the encoding cannot mean.
            RasterError: If a file cannot be opened.
        """
        if self.mask is None:
            raise DatasetError(f"{self.image}: the image has no mask to read labels from")
        return open_labels(self.mask, description, self.image)
