"""Datasets of items, as TorchGeo gives them, become labelled images."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from glnet.data import ClassInfo, LabelledDataset, from_items
from glnet.data.classes import IGNORE_INDEX
from glnet.data.items import Items
from glnet.errors import ConfigurationError, DatasetError, RasterError
from glnet.evaluation.evaluate import evaluate
from glnet.geometry import Size, Window
from glnet.inference.streaming import Settings
from tests.data.downloads import blocks, photo
from tests.model.tiny import CLASSES, tiny_model

SIZE = Size(40, 56)
NAMES = ("soil", "carrot", "weed")

Item = Any


class Geo:
    """As a TorchGeo dataset: items are made when they are asked for."""

    def __init__(self, number: int = 2, change: Callable[[Item], Item] = lambda item: item) -> None:
        self.number = number
        self.change = change
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> Item:
        self.asked.append(index)
        labels = drawn(index)
        image = torch.from_numpy(np.moveaxis(photo(labels), 2, 0).copy())
        item = {"image": image.float(), "mask": torch.from_numpy(labels).long(), "crs": None}
        return self.change(item)


def drawn(index: int) -> NDArray[np.uint8]:
    return blocks(index, 3, SIZE.height, SIZE.width)


def labels_of(dataset: LabelledDataset, split: str, index: int = 0) -> NDArray[np.uint8]:
    with dataset.split(split)[index].open_labels(dataset.description) as labels:
        assert labels.size == SIZE
        return labels.read(Window(0, 0, labels.size))


def test_items_open_as_images_and_labels() -> None:
    dataset = from_items({"train": Geo(2), "validation": Geo(1)}, NAMES)

    assert dataset.splits == ("train", "validation", "all")
    assert [sample.stem for sample in dataset.split("all")] == [
        "train_000000",
        "train_000001",
        "validation_000000",
    ]
    with dataset.split("train")[1].open_image() as image:
        pixels = image.read(Window(0, 0, image.size))
        assert (image.bands, str(image.dtype), image.name) == (3, "float32", "train_000001")
    np.testing.assert_array_equal(pixels, np.moveaxis(photo(drawn(1)), 2, 0))
    np.testing.assert_array_equal(labels_of(dataset, "train", 1), drawn(1))
    assert [info.name for info in dataset.description.classes] == list(NAMES)
    assert len({info.color for info in dataset.description.classes}) == 3


def test_one_dataset_is_all_there_is() -> None:
    assert from_items(Geo(2), NAMES).splits == ("all",)
    assert len(from_items(Geo(2), NAMES).split("all")) == 2


def test_items_are_fetched_when_opened_and_not_before() -> None:
    items = Geo(3)
    dataset = from_items(items, NAMES)
    samples = dataset.split("all")
    assert items.asked == []

    with samples[2].open_image():
        pass

    assert items.asked == [2]


@pytest.mark.parametrize(
    "change",
    [
        lambda item: {**item, "mask": item["mask"][None]},
        lambda item: {**item, "mask": item["mask"].to(torch.uint8)},
        lambda item: {**item, "mask": item["mask"].numpy().astype(np.int16)},
        lambda item: {**item, "image": item["image"].to(torch.uint8).numpy()},
    ],
)
def test_masks_and_images_come_in_many_forms(change: Callable[[Item], Item]) -> None:
    np.testing.assert_array_equal(labels_of(from_items(Geo(1, change), NAMES), "all"), drawn(0))


def test_ignored_pixels_and_values_of_their_own() -> None:
    names = ("soil", ClassInfo("carrot", (255, 128, 0)))

    ignoring = from_items(Geo(1), names, ignore_index=2)
    valued = from_items(Geo(1), names, ignore_index=0, values=(2, 1))

    expected = np.where(drawn(0) == 2, IGNORE_INDEX, drawn(0))
    np.testing.assert_array_equal(labels_of(ignoring, "all"), expected)
    np.testing.assert_array_equal(
        labels_of(valued, "all"), np.array([IGNORE_INDEX, 1, 0], np.uint8)[drawn(0)]
    )
    assert ignoring.description.classes[1].color == (255, 128, 0)


def test_a_model_is_evaluated_on_items() -> None:
    dataset = from_items(Geo(2), CLASSES)

    evaluation = evaluate(tiny_model(), dataset.split("all"), dataset.description, Settings())

    assert evaluation.images == 2
    assert evaluation.pixels == 2 * SIZE.area


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda item: {"image": item["image"]}, "found no 'mask' in image"),
        (lambda item: {"mask": item["mask"]}, "found no 'image' in mask"),
        (lambda item: tuple(item.values()), "found no 'image' in tuple"),
        (
            lambda item: {**item, "mask": item["mask"][:-1]},
            r"got \(3, 40, 56\) and \(39, 56\)$",
        ),
        (
            lambda item: {**item, "image": item["image"].permute(1, 2, 0)},
            r"got \(40, 56, 3\) and \(40, 56\); put the bands first",
        ),
        (lambda item: {**item, "image": item["image"][0]}, r"got \(40, 56\) and \(40, 56\)$"),
        (lambda item: {**item, "mask": item["mask"].float()}, "needs whole numbers, got float32"),
        (
            lambda item: {**item, "mask": item["mask"] + 7},
            "the mask holds 7, 8, 9, but classes are 0, 1, 2; name that class, or set ignore_index",
        ),
        (
            lambda item: {**item, "image": item["image"].requires_grad_()},
            "image cannot be made an array: .*requires grad",
        ),
        (lambda item: item["label"], "item 0 cannot be read: KeyError: 'label'"),
    ],
)
def test_items_that_are_not_so_are_refused(change: Callable[[Item], Item], message: str) -> None:
    dataset = from_items(Geo(1, change), NAMES)

    with pytest.raises(DatasetError, match=f"all_000000.*{message}"):
        labels_of(dataset, "all")


def test_byte_masks_with_strange_values_are_refused() -> None:
    def change(item: Item) -> Item:
        return {**item, "mask": (item["mask"] * 100).to(torch.uint8)}

    with pytest.raises(DatasetError, match=r"holds 100, 200, but classes are 0, 1 and 9 is ig"):
        labels_of(from_items(Geo(1, change), NAMES[:2], ignore_index=9), "all")


def test_images_of_other_numbers_are_refused() -> None:
    dataset = from_items(Geo(1, lambda item: {**item, "image": item["image"] + 1j}), NAMES)

    with (
        pytest.raises(RasterError, match="must be of integers or floats"),
        dataset.split("all")[0].open_image(),
    ):
        pass


@pytest.mark.parametrize(
    ("items", "classes", "error", "message"),
    [
        ({}, NAMES, ConfigurationError, "at least one dataset"),
        ({"train": iter(())}, NAMES, ConfigurationError, "train: expected a dataset with a length"),
        ({"train": Geo(0)}, NAMES, DatasetError, "train: the dataset has no items"),
        (Geo(), ("soil",), ConfigurationError, "2 to 255 classes"),
        (Geo(), ("soil", ""), ConfigurationError, "expected a class name"),
    ],
)
def test_what_is_no_dataset_is_refused(
    items: Items, classes: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        from_items(items, classes)


def test_an_unknown_split_is_told_the_known() -> None:
    with pytest.raises(DatasetError, match="no split 'test'; known are train, all"):
        from_items({"train": Geo()}, NAMES).split("test")
