"""Descriptions that are proposed where there is none, and that they read the masks as drawn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from glnet.data import (
    IndexEncoding,
    MaskEncoding,
    PaletteEncoding,
    StemEndings,
    ThresholdEncoding,
    check_dataset,
    open_labels,
    read_description,
)
from glnet.data.classes import IGNORE_INDEX
from glnet.data.guessing import Proposal, propose
from glnet.errors import DatasetError
from glnet.geometry import Window
from tests.data.downloads import blocks
from tests.data.labelled_folder import write_folder, write_image, write_mask

DRAWN = blocks(0, 3)
COLORS = np.array([(0, 0, 0), (10, 20, 30), (200, 0, 90)], np.uint8)


def proposal(root: Path) -> Proposal:
    return propose(root, lambda *_: None)


def proposed(root: Path, *masks: NDArray[Any]) -> Proposal:
    for number, mask in enumerate(masks):
        write_image(root, f"{number}", DRAWN)
        write_mask(root, f"{number}", mask)
    return proposal(root)


@pytest.mark.parametrize(
    ("pixels", "encoding"),
    [
        (DRAWN, IndexEncoding()),
        (np.minimum(DRAWN, 1), IndexEncoding()),
        (DRAWN * 5, IndexEncoding((0, 5, 10))),
        (np.where(DRAWN == 2, np.uint8(255), DRAWN), IndexEncoding(ignore=255)),
        (np.zeros_like(DRAWN), IndexEncoding()),
        (np.minimum(DRAWN, 1) * 255, ThresholdEncoding()),
        (np.arange(48 * 48).reshape(48, 48).astype(np.uint8), ThresholdEncoding()),
        (np.stack([np.minimum(DRAWN, 1) * 255] * 3, axis=2), ThresholdEncoding()),
        (COLORS[DRAWN], PaletteEncoding()),
        (
            np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8),
            PaletteEncoding(binarize=128),
        ),
    ],
)
def test_the_encoding_is_that_of_the_values(
    tmp_path: Path, pixels: NDArray[np.uint8], encoding: MaskEncoding
) -> None:
    assert proposed(tmp_path, pixels).description.encoding == encoding


@pytest.mark.parametrize("pixels", [DRAWN, DRAWN * 5, COLORS[DRAWN]])
def test_a_proposed_description_reads_the_masks_as_drawn(
    tmp_path: Path, pixels: NDArray[np.uint8]
) -> None:
    found = proposed(tmp_path, pixels)
    (tmp_path / "dataset.yaml").write_text(found.text)

    assert read_description(tmp_path / "dataset.yaml") == found.description
    report = check_dataset(tmp_path)
    assert report.proposal is None
    assert report.splits[0].pixels == tuple(np.bincount(DRAWN.ravel()))


def test_a_palette_gives_index_masks_their_colours(tmp_path: Path) -> None:
    picture = Image.fromarray(DRAWN)
    picture.putpalette(COLORS.ravel().tolist())
    write_image(tmp_path, "a", DRAWN)
    (tmp_path / "masks").mkdir()
    picture.save(tmp_path / "masks/a.png")

    description = proposal(tmp_path).description

    assert description.encoding == IndexEncoding()
    assert [info.color for info in description.classes] == [(0, 0, 0), (10, 20, 30), (200, 0, 90)]


def test_the_kind_of_most_masks_counts(tmp_path: Path) -> None:
    colored, index = COLORS[DRAWN], DRAWN

    assert proposed(tmp_path / "a", colored, colored, index).description.encoding == (
        PaletteEncoding()
    )
    assert proposed(tmp_path / "b", colored, index, index).description.encoding == IndexEncoding()


def test_values_come_from_all_masks(tmp_path: Path) -> None:
    masks = [np.full((48, 48), value, np.uint8) for value in range(4)]

    assert proposed(tmp_path, *masks).description.num_classes == 4


@pytest.mark.parametrize(
    ("image", "mask", "endings"),
    [
        ("{}", "{}", StemEndings()),
        ("{}", "{}_mask", StemEndings("", "_mask")),
        ("{}_sat", "{}_mask", StemEndings("_sat", "_mask")),
        ("{}_a_b", "{}_a_c", StemEndings("_b", "_c")),
    ],
)
def test_endings_are_those_with_which_pairs_are_found(
    tmp_path: Path, image: str, mask: str, endings: StemEndings
) -> None:
    for stem in "12":
        write_image(tmp_path, image.format(stem), DRAWN)
        write_mask(tmp_path, mask.format(stem), DRAWN)

    assert proposal(tmp_path).description.endings == endings


def test_many_images_are_split_and_lists_are_found(tmp_path: Path) -> None:
    write_folder(tmp_path, yaml=None, stems="abcdefghij")

    drawn = check_dataset(tmp_path)
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/train.txt").write_text("a\nb\n")
    listed = check_dataset(tmp_path)

    assert [(of.name, of.images) for of in drawn.splits] == [
        ("train", 7),
        ("validation", 1),
        ("test", 2),
        ("all", 10),
    ]
    assert [(of.name, of.images) for of in listed.splits] == [("train", 2), ("all", 10)]
    assert "train: splits/train.txt" in str(listed.proposal)
    assert "# group: " in str(drawn.proposal)
    assert "# group: " not in str(listed.proposal)


def test_a_benchmark_without_description_is_recognised(tmp_path: Path) -> None:
    for stem in ("ISIC_0000000", "ISIC_0000001"):
        write_image(tmp_path, stem, DRAWN)
        write_mask(tmp_path, f"{stem}_segmentation", np.minimum(DRAWN, 1) * 255)

    report = check_dataset(tmp_path)

    assert report.remarks[0].startswith("this looks like isic: --dataset isic reads it")


def test_unreadable_masks_are_passed_over_while_there_are_others(tmp_path: Path) -> None:
    write_folder(tmp_path, yaml=None)
    (tmp_path / "masks/a.png").write_bytes(b"no picture")

    report = check_dataset(tmp_path)

    assert [fault.kind for fault in report.faults] == ["unreadable"]
    assert report.proposal is not None


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (None, "no mask that can be read"),
        (np.zeros((48, 48), np.float32), "got 1 of float32"),
        (np.arange(48 * 48).reshape(48, 48).astype(np.int32), "hold 2304 values, 0 to 2303, wh"),
        (np.zeros((48, 48, 3), np.uint8) + 7, "all masks have one and the same colour"),
    ],
)
def test_masks_that_say_nothing_are_refused(
    tmp_path: Path, pixels: NDArray[Any] | None, message: str
) -> None:
    write_image(tmp_path, "a", DRAWN)
    if pixels is not None:
        write_mask(tmp_path, "a", pixels, ".tif")

    with pytest.raises(DatasetError, match=f"no .*dataset.yaml, and none .*{message}"):
        check_dataset(tmp_path)


def test_ignored_values_are_ignored(tmp_path: Path) -> None:
    found = proposed(tmp_path, np.where(DRAWN == 2, np.uint8(255), DRAWN)).description

    with open_labels(tmp_path / "masks/0.png", found) as labels:
        read = labels.read(Window(0, 0, labels.size))
    np.testing.assert_array_equal(read, np.where(DRAWN == 2, IGNORE_INDEX, DRAWN))
