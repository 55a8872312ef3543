"""Labelled images out of map-style datasets as TorchGeo's: items with ``image`` and ``mask``."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from glnet.data.classes import ClassInfo, named_classes
from glnet.data.description import DatasetDescription
from glnet.data.encodings import IndexEncoding
from glnet.data.folder import ALL
from glnet.data.listing import listing
from glnet.data.masks import LabelRaster
from glnet.errors import ConfigurationError, DatasetError
from glnet.raster import ArrayRaster, Raster


class Items(Protocol):
    """A dataset whose items are asked for by number.

    An item is a mapping with ``image``, (bands, height, width) of integers or floats, and ``mask``,
    (height, width) or (1, height, width) of whole numbers: tensors in host memory or arrays.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> object: ...


@dataclass(frozen=True, slots=True)
class ItemSample:
    """An item, fetched whenever its image or labels are opened, and not held."""

    stem: str
    items: Items
    index: int

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.stem

    @contextmanager
    def open_image(self) -> Iterator[Raster]:
        """The image's pixels, for a ``with`` block.

        Raises:
            DatasetError: If the item cannot be fetched or is not as `Items` says.
            RasterError: If the image is of neither integers nor floats, or has no pixels.
        """
        image, _ = self._fetch()
        yield ArrayRaster(np.moveaxis(image, 0, 2), self.name)

    @contextmanager
    def open_labels(self, description: DatasetDescription) -> Iterator[LabelRaster]:
        """The labels, for a ``with`` block.

        Raises:
            DatasetError: If the item cannot be fetched, is not as `Items` says, or its mask holds
                a value that is no class.
        """
        _, mask = self._fetch()
        raster = LabelRaster(ArrayRaster(mask, f"{self.name} (mask)"), description)
        self._check_values(mask, description)
        yield raster

    def _fetch(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The image (bands, height, width) and the mask (height, width)."""
        try:
            item = self.items[self.index]
        except Exception as error:  # Whatever a foreign dataset raises.
            why = f"{type(error).__name__}: {error}"
            raise DatasetError(f"{self.name}: item {self.index} cannot be read: {why}") from error
        image, mask = self._array(item, "image"), self._array(item, "mask")
        if mask.ndim == 3 and mask.shape[0] == 1:
            mask = mask[0]
        if image.ndim != 3 or mask.ndim != 2 or image.shape[1:] != mask.shape:
            raise DatasetError(
                f"{self.name}: expected an image (bands, height, width) and a mask (height, width),"
                f" got {image.shape} and {mask.shape}{_axes_hint(image, mask)}"
            )
        return image, mask

    def _array(self, item: object, key: str) -> NDArray[Any]:
        if not isinstance(item, Mapping) or key not in item:
            keys = listing(item) if isinstance(item, Mapping) else type(item).__name__
            raise DatasetError(
                f"{self.name}: expected an item with image and mask, found no {key!r} in {keys}"
            )
        try:
            return np.asarray(item[key])
        except (TypeError, ValueError, RuntimeError) as error:  # Such as a tensor on a GPU.
            raise DatasetError(f"{self.name}: {key} cannot be made an array: {error}") from error

    def _check_values(self, mask: NDArray[Any], description: DatasetDescription) -> None:
        """Refuse at once what decoding would refuse later in the words of a `dataset.yaml`."""
        encoding = description.encoding
        assert isinstance(encoding, IndexEncoding)
        known = encoding.values_of(description.num_classes)
        ignored = () if encoding.ignore is None else (encoding.ignore,)
        strange = np.setdiff1d(_distinct(mask), (*known, *ignored))
        if strange.size:
            raise DatasetError(
                f"{self.name}: the mask holds {listing(strange)}, but classes are"
                f" {listing(known)}{''.join(f' and {of} is ignored' for of in ignored)};"
                " name that class, or set ignore_index or values"
            )


class ItemDataset:
    """Datasets of items as splits of one dataset; made by `from_items`."""

    kind = "items"

    def __init__(self, parts: Mapping[str, Items], description: DatasetDescription) -> None:
        self.description = description
        self.groups: Mapping[str, str] = {}
        self._splits = {name: _samples(name, items) for name, items in parts.items()}
        everything = tuple(sample for samples in self._splits.values() for sample in samples)
        self._splits.setdefault(ALL, everything)

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return "items"

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits; `ALL` is one of them."""
        return tuple(self._splits)

    def split(self, name: str) -> tuple[ItemSample, ...]:
        """The samples of a split.

        Raises:
            DatasetError: If there is no such split.
        """
        if name not in self._splits:
            raise DatasetError(f"no split {name!r}; known are {', '.join(self._splits)}")
        return self._splits[name]


def from_items(
    items: Items | Mapping[str, Items],
    classes: Sequence[str | ClassInfo],
    *,
    ignore_index: int | None = None,
    values: Sequence[int] = (),
) -> ItemDataset:
    """Make a dataset out of TorchGeo's, or of any other that gives its items alike.

    Images keep their numbers: whoever scales them to 0..1 does so for training and prediction.

    Args:
        items: One dataset, which becomes the split ``all``; or one per split, such as
            ``{"train": ..., "validation": ...}``.
        classes: Names, in the order of their index; or names with colours.
        ignore_index: The mask value of pixels that do not count.
        values: The mask value of each class, where they are not 0, 1, 2, ...

    Raises:
        ConfigurationError: If there is no split, the classes cannot be (as `DatasetDescription`),
            or something else than such a dataset is given.
        DatasetError: If a dataset is empty.
    """
    parts = items if isinstance(items, Mapping) else {ALL: items}
    encoding = IndexEncoding(tuple(values), ignore_index)
    description = DatasetDescription(named_classes(classes), encoding)
    if not parts:
        raise ConfigurationError("expected at least one dataset, such as train: ..., got none")
    for name, part in parts.items():
        if not hasattr(part, "__getitem__") or not hasattr(part, "__len__"):
            raise ConfigurationError(
                f"{name}: expected a dataset with a length whose items are asked for by number,"
                f" got {type(part).__name__}"
            )
        if len(part) == 0:
            raise DatasetError(f"{name}: the dataset has no items")
    return ItemDataset(parts, description)


def _samples(name: str, items: Items) -> tuple[ItemSample, ...]:
    return tuple(ItemSample(f"{name}_{index:06d}", items, index) for index in range(len(items)))


def _axes_hint(image: NDArray[Any], mask: NDArray[Any]) -> str:
    is_last = image.ndim == 3 and image.shape[:2] == mask.shape
    return "; put the bands first" if is_last else ""


def _distinct(mask: NDArray[Any]) -> NDArray[Any]:
    """The values of a mask; of bytes without sorting them."""
    if mask.dtype == np.uint8:
        return np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    return np.unique(mask)
