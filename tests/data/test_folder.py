import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from glnet.data.classes import ClassInfo
from glnet.data.description import DatasetDescription, StemEndings
from glnet.data.folder import SegmentationFolder
from glnet.data.sample import Sample
from glnet.data.splits import ListedSplits
from glnet.errors import ConfigurationError, DatasetError

CLASSES = (ClassInfo("soil", (0, 0, 0)), ClassInfo("carrot", (0, 200, 0)))
PLAIN = DatasetDescription(CLASSES)


def fill(root: Path, names: Iterable[str]) -> Path:
    """Only names count here, so that the files are empty."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_images_and_masks_pair_by_stem(tmp_path: Path) -> None:
    fill(tmp_path, ["images/b.JPG", "images/a.x.tif", "masks/a.x.png", "masks/b.tif"])

    folder = SegmentationFolder(tmp_path, PLAIN)

    assert folder.splits == ("all",)
    assert folder.split("all") == (
        Sample("a.x", tmp_path / "images/a.x.tif", tmp_path / "masks/a.x.png"),
        Sample("b", tmp_path / "images/b.JPG", tmp_path / "masks/b.tif"),
    )


def test_endings_come_off_the_stems(tmp_path: Path) -> None:
    fill(tmp_path, ["images/7_sat.jpg", "masks/7_mask.png"])
    description = DatasetDescription(CLASSES, endings=StemEndings("_sat", "_mask"))

    folder = SegmentationFolder(tmp_path, description)

    assert [sample.stem for sample in folder.split("all")] == ["7"]


def test_companions_hidden_files_and_folders_are_no_images(tmp_path: Path) -> None:
    fill(tmp_path, ["images/a.tif", "images/a.tif.aux.xml", "images/a.tfw", "images/.a.tif"])
    fill(tmp_path, ["images/notes.txt", "images/Thumbs.db", "images/more/c.tif"])

    folder = SegmentationFolder(tmp_path, PLAIN)

    assert [sample.stem for sample in folder.samples] == ["a"]


def test_images_without_mask_are_samples_outside_of_splits(tmp_path: Path) -> None:
    fill(tmp_path, ["images/a.tif", "images/b.tif", "masks/a.png"])
    description = DatasetDescription(CLASSES, splits=ListedSplits({"train": ("a",)}))

    folder = SegmentationFolder(tmp_path, description)

    assert [sample.mask is None for sample in folder.samples] == [False, True]
    assert [sample.stem for sample in folder.split("train")] == ["a"]


def test_a_split_names_the_images_that_lack_masks(tmp_path: Path) -> None:
    fill(tmp_path, [f"images/{number}.tif" for number in range(7)])
    folder = SegmentationFolder(tmp_path, PLAIN)

    with pytest.raises(DatasetError, match=r"7 images of split 'all' have no mask: 0, .* 2 more"):
        folder.split("all")


def test_open_takes_the_description_of_the_folder_or_another(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", ["images/a.tif"])
    (root / "dataset.yaml").write_text("classes: [a, b]")
    (tmp_path / "other.yaml").write_text("classes: [a, b, c]")

    assert SegmentationFolder.open(root).description.num_classes == 2
    assert SegmentationFolder.open(root, tmp_path / "other.yaml").description.num_classes == 3
    with pytest.raises(ConfigurationError, match=r"no\.yaml"):
        SegmentationFolder.open(root, root / "no.yaml")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["pictures/a.tif"], "expected the folders images and masks, found no"),
        (["images/a.txt"], "no image there"),
        (["images/a.tif", "images/a.jpg"], "two files of the stem 'a', a.jpg and a.tif"),
        (["images/a.tif", "masks/a.tif", "masks/a.png"], "two files of the stem 'a'"),
        (["images/a.tif", "masks/b.png", "masks/c.png"], "no image in .* for 2 of 2 masks: b, c"),
    ],
)
def test_folders_refuse_files_that_do_not_fit(
    tmp_path: Path, names: list[str], message: str
) -> None:
    fill(tmp_path, names)

    with pytest.raises(DatasetError, match=message):
        SegmentationFolder(tmp_path, PLAIN)


def test_folders_refuse_names_without_the_ending(tmp_path: Path) -> None:
    fill(tmp_path, ["images/7_sat.jpg"])

    with pytest.raises(DatasetError, match=r"7_sat\.jpg: the name should end in '_image'"):
        SegmentationFolder(tmp_path, DatasetDescription(CLASSES, endings=StemEndings("_image")))


def test_folders_refuse_splits_that_do_not_fit(tmp_path: Path) -> None:
    fill(tmp_path, ["images/a.tif"])
    description = DatasetDescription(CLASSES, splits=ListedSplits({"train": ("b",)}))

    with pytest.raises(DatasetError, match=f"{re.escape(str(tmp_path))}: split 'train' lists"):
        SegmentationFolder(tmp_path, description)


def test_an_unknown_split_is_told_the_known(tmp_path: Path) -> None:
    fill(tmp_path, ["images/a.tif"])
    description = DatasetDescription(CLASSES, splits=ListedSplits({"train": ("a",)}))

    with pytest.raises(DatasetError, match="no split 'test'; known are train"):
        SegmentationFolder(tmp_path, description).split("test")
