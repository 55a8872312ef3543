"""The benchmarks' readers on trees that are laid out as the downloads are."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from glnet.data import DatasetKind, SegmentationFolder, check_dataset, open_dataset
from glnet.data.classes import IGNORE_INDEX
from glnet.data.deepglobe import DEEPGLOBE, PUBLISHED_CLASSES, SPLITS, split_list
from glnet.data.inria import CITIES, INRIA, INRIA_OFFICIAL
from glnet.data.isic import ISIC
from glnet.geometry import Window
from tests.data.downloads import blocks, deepglobe, inria, isic

SHARED = Path(__file__).parents[3] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the real samples are not here")


def stems(dataset: SegmentationFolder, split: str = "all") -> list[str]:
    return [sample.stem for sample in dataset.split(split)]


@pytest.mark.parametrize(
    ("folder", "inner"),
    [("train", ""), ("land-train", ""), ("train", "train"), ("deep/train", ""), (".", "")],
)
def test_deepglobe_is_read_as_it_unpacks(tmp_path: Path, folder: str, inner: str) -> None:
    dataset = open_dataset(deepglobe(tmp_path, folder=folder) / inner, "deepglobe")

    assert dataset.splits == ("train", "validation", "test", "all")
    assert stems(dataset) == ["119", "2334", "71619"]
    assert dataset.kind == "deepglobe"
    assert dataset.groups == {}


@pytest.mark.parametrize("kind", ["deepglobe", "deepglobe-published"])
def test_deepglobe_masks_are_binarised_and_unknown_is_ignored_or_a_class(
    tmp_path: Path, kind: DatasetKind
) -> None:
    dataset = open_dataset(deepglobe(tmp_path), kind)

    for number, sample in enumerate(dataset.split("all")):
        drawn = blocks(number, 7)
        shown = drawn if kind == "deepglobe-published" else np.where(drawn, drawn - 1, IGNORE_INDEX)
        with sample.open_labels(dataset.description) as labels:
            np.testing.assert_array_equal(labels.read(Window(0, 0, labels.size)), shown)


def test_the_published_classes_are_unknown_and_the_others() -> None:
    assert [info.name for info in PUBLISHED_CLASSES] == [
        "unknown",
        *(info.name for info in DEEPGLOBE.description.classes),
    ]
    assert DEEPGLOBE.description.num_classes == 6


def test_the_shipped_lists_are_disjoint_and_of_the_published_lengths() -> None:
    lists = {name: split_list(name) for name in SPLITS}

    assert {name: len(listed) for name, listed in lists.items()} == {
        "train": 454,
        "validation": 207,
        "test": 142,
    }
    assert len(set().union(*lists.values())) == 803
    assert all(stem.isdecimal() for listed in lists.values() for stem in listed)


@needs_shared
@pytest.mark.parametrize("name", SPLITS)
def test_the_shipped_lists_are_the_published_ones(name: str) -> None:
    lines = (SHARED / "splits" / f"deepglobe_{name}.txt").read_text().split()

    assert split_list(name) == tuple(line.removesuffix("_sat.jpg") for line in lines)


@pytest.mark.parametrize(
    ("images", "masks", "inner"),
    [
        ("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth", ""),
        (
            "ISIC2018_Task1-2_Training_Input",
            "ISIC2018_Task1_Training_GroundTruth",
            "ISIC2018_Task1-2_Training_Input",
        ),
        (
            "isic/ISIC2018_Task1-2_Training_Input",
            "isic/ISIC2018_Task1_Training_GroundTruth",
            "",
        ),
        ("flat", "flat", "flat"),
        ("images", "masks", ""),
    ],
)
def test_isic_is_read_as_it_unpacks(tmp_path: Path, images: str, masks: str, inner: str) -> None:
    dataset = open_dataset(isic(tmp_path, images=images, masks=masks) / inner, "isic")

    assert stems(dataset) == ["ISIC_0000000", "ISIC_0000001", "ISIC_0000003"]
    for number, sample in enumerate(dataset.split("all")):
        with sample.open_labels(dataset.description) as labels:
            drawn = blocks(number, 2, 48 + 3 * number, 48 - 2 * number)
            np.testing.assert_array_equal(labels.read(Window(0, 0, labels.size)), drawn)


def test_isic_parts_the_whole_download_as_the_paper_does() -> None:
    rule = ISIC.description.splits
    assert rule is not None

    splits = rule.assign([f"ISIC_{number:07d}" for number in range(2594)])

    assert {name: len(listed) for name, listed in splits.items()} == {
        "train": 2074,
        "validation": 260,
        "test": 260,
    }
    assert len(set().union(*splits.values())) == 2594


def test_a_part_of_a_drawn_download_is_parted_by_the_same_shares(tmp_path: Path) -> None:
    dataset = open_dataset(isic(tmp_path, [f"ISIC_{number:07d}" for number in range(20)]), "isic")

    assert [len(dataset.split(name)) for name in dataset.splits] == [16, 2, 2, 20]


@pytest.mark.parametrize(
    "inner",
    ["", "AerialImageDataset", "AerialImageDataset/train", "AerialImageDataset/train/images"],
)
def test_inria_is_read_as_it_unpacks(tmp_path: Path, inner: str) -> None:
    dataset = open_dataset(inria(tmp_path) / inner, "inria")

    assert len(stems(dataset)) == 35
    assert dataset.groups["tyrol-w3"] == "tyrol-w"
    assert Counter(dataset.groups.values()) == dict.fromkeys(CITIES, 7)
    sample = dataset.split("all")[0]
    with sample.open_image() as image, sample.open_labels(dataset.description) as labels:
        assert image.georeference.crs is not None
        np.testing.assert_array_equal(labels.read(Window(0, 0, labels.size)), blocks(1, 2))


def test_inria_parts_the_whole_download_as_the_paper_does() -> None:
    rule = INRIA.description.splits
    assert rule is not None

    splits = rule.assign([f"{city}{number}" for city in CITIES for number in range(1, 37)])

    assert {name: len(listed) for name, listed in splits.items()} == {
        "train": 126,
        "validation": 27,
        "test": 27,
    }


def test_the_official_validation_is_the_first_five_tiles_of_every_city(tmp_path: Path) -> None:
    rule = INRIA_OFFICIAL.description.splits
    assert rule is not None

    splits = rule.assign([f"{city}{number}" for city in CITIES for number in range(1, 37)])
    dataset = open_dataset(inria(tmp_path, numbers=range(1, 6)), "inria-official")

    assert {name: len(listed) for name, listed in splits.items()} == {
        "train": 155,
        "validation": 25,
    }
    assert stems(dataset, "validation") == list(splits["validation"])
    assert set(stems(dataset, "validation")) == {f"{of}{n}" for of in CITIES for n in range(1, 6)}


@needs_shared
@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [("deepglobe_crops", "deepglobe", 3), ("isic_uhr", "isic", 5), ("isic_512", "isic", 500)],
)
def test_the_real_samples_are_read(name: str, kind: DatasetKind, count: int) -> None:
    dataset = open_dataset(SHARED / "data" / name, kind)

    samples = dataset.split("all")
    assert len(samples) == count
    assert len(samples[0].stem) in {4, len("ISIC_0000000")}
    with samples[0].open_labels(dataset.description) as labels:
        assert labels.read(Window(0, 0, labels.size)).max() < dataset.description.num_classes


@needs_shared
@pytest.mark.parametrize("name", ["isic_uhr", "deepglobe_crops"])
def test_the_real_samples_are_free_of_faults(name: str) -> None:
    report = check_dataset(SHARED / "data" / name)

    assert report.faults == ()
    assert report.proposal is not None
    assert report.remarks[0].startswith(f"this looks like {name.split('_', maxsplit=1)[0]}")
    assert report.splits[-1].labelled_pixels > 0
