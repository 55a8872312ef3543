"""What readers say of downloads that are incomplete, misplaced or of another benchmark."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from glnet.data import DatasetKind, open_dataset
from glnet.errors import ConfigurationError, DatasetError
from tests.data.downloads import deepglobe, inria, isic, write_text

IMAGES, MASKS = "ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"


def refusal(root: Path, kind: DatasetKind = "folder", split: str = "all") -> str:
    with pytest.raises((DatasetError, ConfigurationError)) as caught:
        open_dataset(root, kind).split(split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_split_of_a_partial_download_says_how_much_is_absent(tmp_path: Path) -> None:
    said = refusal(deepglobe(tmp_path, ["100694", "10233"]), "deepglobe", "train")

    assert "452 of the 454 images of split 'train' are not there: 103665, " in said
    assert f"looked in {tmp_path / 'train'}; split 'all' has the 2 labelled images that are" in said


def test_a_split_that_gets_no_image_says_so(tmp_path: Path) -> None:
    said = refusal(isic(tmp_path, ["ISIC_0000000"]), "isic", "validation")

    assert "split 'validation' got none of the 1 images; split 'all' has 1" in said


def test_masks_that_are_missing_are_named_when_their_split_is_asked_for(tmp_path: Path) -> None:
    isic(tmp_path)
    (tmp_path / MASKS / "ISIC_0000001_segmentation.png").unlink()

    dataset = open_dataset(tmp_path, "isic")

    assert [sample.stem for sample in dataset.split("all")] == ["ISIC_0000000", "ISIC_0000003"]
    home = next(name for name in dataset.splits if "ISIC_0000001" in dataset.stems(name))
    with pytest.raises(DatasetError, match=r"split .* have no mask: ISIC_0000001;"):
        dataset.split(home)


def test_a_mask_without_image_is_noted_not_raised(tmp_path: Path) -> None:
    deepglobe(tmp_path)
    (tmp_path / "train/119_sat.jpg").unlink()

    dataset = open_dataset(tmp_path, "deepglobe")

    assert [fault.kind for fault in dataset.contents.faults] == ["mask without image"]
    assert "for 1 of 3 masks" in dataset.contents.faults[0].message
    assert "119; expected <id>_sat.jpg for each" in dataset.contents.faults[0].message


def test_a_folder_without_any_mask_has_nothing_to_split(tmp_path: Path) -> None:
    write_text(tmp_path / "images/a.jpg", "")
    write_text(tmp_path / "dataset.yaml", "classes: [a, b]\nsplits: {lists: {train: [a]}}")

    assert "split 'all' is empty, as no mask belongs to one" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("kind", "build", "lost", "said"),
    [
        ("deepglobe", deepglobe, ["train"], "only {root}/valid is there, whose images"),
        ("deepglobe", deepglobe, ["train", "test", "valid"], "no image of DeepGlobe Land Cover"),
        ("isic", isic, [MASKS], "but no mask (ISIC_0000000_segmentation.png); looked in {root}/"),
        ("isic", isic, [IMAGES], f"and one folder below in {IMAGES} with {MASKS}"),
        ("isic", isic, [IMAGES], f"found {MASKS}/"),
        (
            "inria",
            inria,
            ["AerialImageDataset/train/gt"],
            "but no mask (austin1.tif); looked in {root}/AerialImageDataset/train/gt",
        ),
        (
            "inria",
            inria,
            ["AerialImageDataset/train"],
            "only {root}/AerialImageDataset/test/images is there",
        ),
    ],
)
def test_what_is_missing_is_said_with_where_it_was_looked_for(
    tmp_path: Path, kind: DatasetKind, build: Callable[[Path], Path], lost: list[str], said: str
) -> None:
    build(tmp_path)
    for folder in lost:
        shutil.rmtree(tmp_path / folder)

    assert said.replace("{root}", str(tmp_path)) in refusal(tmp_path, kind)


@pytest.mark.parametrize(
    ("build", "kind", "like"),
    [
        (deepglobe, "isic", "deepglobe"),
        (isic, "deepglobe", "isic"),
        (inria, "isic", "inria"),
        (isic, "folder", "isic"),
        (inria, "folder", "inria"),
    ],
)
def test_another_benchmark_is_recognised(
    tmp_path: Path, build: Callable[[Path], Path], kind: DatasetKind, like: str
) -> None:
    said = refusal(build(tmp_path), kind)

    assert said.endswith(f"; this looks like {like}: use --dataset {like}")


def test_a_described_folder_is_recognised(tmp_path: Path) -> None:
    write_text(tmp_path / "images/a.jpg", "")
    write_text(tmp_path / "dataset.yaml", "classes: [a, b]")

    assert refusal(tmp_path, "isic").endswith("this looks like folder: use --dataset folder")


def test_a_description_beside_another_layout_is_told_the_benchmark(tmp_path: Path) -> None:
    write_text(isic(tmp_path) / "dataset.yaml", "classes: [a, b]")

    said = refusal(tmp_path)

    assert "expected the folders images and masks" in said
    assert "use --dataset isic" in said


@pytest.mark.parametrize("kind", ["folder", "deepglobe"])
def test_archives_are_to_be_unpacked(tmp_path: Path, kind: DatasetKind) -> None:
    write_text(tmp_path / "download/land-train.zip", "PK")
    write_text(tmp_path / "download/dataset.yaml", "classes: [a, b]")

    assert "; unpack land-train.zip first" in refusal(tmp_path / "download", kind)
    assert "is an archive; unpack it" in refusal(tmp_path / "download/land-train.zip", kind)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    write_text(tmp_path / "notes.txt", "")

    assert "does not exist; expected the folder of a dataset" in refusal(tmp_path / "nowhere")
    assert "is a file; expected the folder of a dataset" in refusal(tmp_path / "notes.txt")


def test_a_folder_without_description_is_told_how_to_get_one(tmp_path: Path) -> None:
    write_text(tmp_path / "images/a.jpg", "")

    assert f"glnet data check {tmp_path} proposes one" in refusal(tmp_path)


def test_an_unknown_kind_and_a_second_description_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no dataset 'cityscapes'; known are folder, deep"):
        open_dataset(tmp_path, "cityscapes")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="isic has a description of its own; leave yours"):
        open_dataset(tmp_path, "isic", tmp_path / "dataset.yaml")
