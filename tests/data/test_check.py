"""What `check_dataset` finds, against folders that are known to the pixel."""

import json
from pathlib import Path

import numpy as np
import pytest

from glnet.data import DatasetReport, check_dataset
from glnet.data.faults import FaultKind
from glnet.errors import DatasetError, OutputError
from glnet.geometry import Size
from glnet.raster import open_raster
from tests.data.downloads import blocks, deepglobe, inria, isic, photo
from tests.data.labelled_folder import INDEX_YAML, write_folder, write_image, write_mask
from tests.raster.raster_files import write_tiff


def messages(report: DatasetReport, kind: FaultKind) -> list[str]:
    return [fault.message for fault in report.faults if fault.kind == kind]


def test_a_healthy_folder_is_counted_to_the_pixel(tmp_path: Path) -> None:
    report = check_dataset(write_folder(tmp_path))

    train, validation, everything = report.splits
    assert [of.name for of in report.splits] == ["train", "validation", "all"]
    assert report.faults == ()
    assert report.remarks == ()
    drawn = [np.bincount(blocks(seed, 3).ravel(), minlength=3) for seed in range(3)]
    assert train.pixels == tuple(drawn[0] + drawn[1])
    assert validation.pixels == tuple(drawn[2])
    assert everything.pixels == tuple(drawn[0] + drawn[1] + drawn[2])
    assert sum(everything.shares) == pytest.approx(1)
    assert (train.images, train.smallest, train.sizes) == (2, Size(48, 48), 1)
    assert (train.bands, train.dtypes) == ((3,), ("uint8",))


def test_strips_add_up_to_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = check_dataset(write_folder(tmp_path))
    monkeypatch.setattr("glnet.data.scanning.STRIP_PIXELS", 100)

    assert check_dataset(tmp_path).splits == whole.splits


def test_ignored_pixels_are_counted_apart(tmp_path: Path) -> None:
    write_folder(tmp_path, "classes: [soil, carrot]\nmask: {encoding: index, ignore: 2}")

    (everything,) = check_dataset(tmp_path).splits

    ignored = sum(int((blocks(seed, 3) == 2).sum()) for seed in range(3))
    assert everything.ignored_pixels == ignored
    assert everything.ignored_share == ignored / (3 * 48 * 48)
    assert everything.labelled_pixels == 3 * 48 * 48 - ignored


def test_sizes_of_a_split_are_the_extremes(tmp_path: Path) -> None:
    report = check_dataset(isic(tmp_path), "isic")

    everything = report.splits[-1]
    assert (everything.smallest, everything.largest) == (Size(48, 48), Size(54, 44))
    assert everything.sizes == 3


def test_every_fault_of_every_file_is_listed(tmp_path: Path) -> None:
    write_folder(tmp_path, INDEX_YAML.replace("[c]", "[c, d, e, f, g]"), "abcdefg")
    write_mask(tmp_path, "a", blocks(0, 3, 40, 40))
    mask = blocks(1, 3)
    mask[20, 30] = 9
    write_mask(tmp_path, "b", mask)
    (tmp_path / "masks/c.png").unlink()
    image = tmp_path / "images/d.jpg"
    image.write_bytes(image.read_bytes()[:500])
    write_mask(tmp_path, "e", photo(blocks(0, 3)))
    write_mask(tmp_path, "f", blocks(0, 3))
    (tmp_path / "masks/f.png").write_bytes(b"no picture")
    write_tiff(tmp_path / "images/g.tif", np.zeros((1, 48, 48), np.uint8))
    (tmp_path / "images/g.jpg").unlink()
    write_mask(tmp_path, "orphan", blocks(0, 3))

    report = check_dataset(tmp_path)

    assert len(report.faults) == 8
    (size,) = messages(report, "size")
    assert "as large as its image (48x48, " in size
    assert size.endswith("got 40x40")
    (value,) = messages(report, "value")
    assert "class value 9 out of range, first at pixel (row 20, column 30)" in value
    assert "set mask.ignore" in value
    assert messages(report, "image without mask") == [
        f"no mask in {tmp_path / 'masks'} for 1 of 7 images: c"
    ]
    assert "for 1 of 7 masks: orphan" in messages(report, "mask without image")[0]
    assert [str(image), str(tmp_path / "masks/f.png")] == [
        fault.names[0] for fault in report.faults if fault.kind == "unreadable"
    ]
    assert messages(report, "encoding")[0].endswith(
        "encoding index needs 1 band, got 3; use encoding: palette for colours,"
        " threshold for black and white"
    )
    assert messages(report, "bands") == [
        f"{tmp_path / 'images/g.tif'} has 1 bands, most images have 3"
    ]
    json.dumps(report.to_dict())


def test_faulty_masks_do_not_count(tmp_path: Path) -> None:
    write_mask(write_folder(tmp_path), "c", blocks(2, 3, 40, 40))

    report = check_dataset(tmp_path)

    assert report.splits[1].pixels == (0, 0, 0)


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("[a, nowhere]", "split 'train' lists 1 stems that have no image: nowhere"),
        ("[a, c]", "c came twice"),
        ("[]", "split 'train' got no image"),
    ],
)
def test_splits_that_do_not_fit_are_a_fault_and_the_rest_is_told(
    tmp_path: Path, yaml: str, message: str
) -> None:
    report = check_dataset(write_folder(tmp_path, INDEX_YAML.replace("[a, b]", yaml)))

    assert message in messages(report, "split")[0]
    assert sum(report.splits[-1].pixels) == 3 * 48 * 48


def test_groups_that_are_not_found_leave_only_all(tmp_path: Path) -> None:
    groups = "classes: [a, b, c]\nsplits: {group: '(x)', groups: {train: [x]}}"

    report = check_dataset(write_folder(tmp_path, groups))

    assert "finds nothing in the stem" in messages(report, "split")[0]
    assert [of.name for of in report.splits] == ["all"]


def test_classes_that_a_split_never_shows_are_named(tmp_path: Path) -> None:
    write_mask(write_folder(tmp_path), "c", np.zeros((48, 48), np.uint8))

    report = check_dataset(tmp_path)

    assert report.remarks == ("split 'validation' never shows carrot, weed",)
    assert report.faults == ()


def test_a_class_that_no_mask_shows_is_named_once(tmp_path: Path) -> None:
    write_folder(tmp_path, INDEX_YAML.replace("weed]", "weed, beet]"))

    assert check_dataset(tmp_path).remarks == ("no mask shows beet",)


def test_a_benchmark_without_any_pair_is_a_fault(tmp_path: Path) -> None:
    isic(tmp_path, ["ISIC_0000000", "ISIC_0000001"])
    (tmp_path / "ISIC2018_Task1-2_Training_Input/ISIC_0000000.jpg").unlink()
    (tmp_path / "ISIC2018_Task1_Training_GroundTruth/ISIC_0000001_segmentation.png").unlink()

    found = messages(check_dataset(tmp_path, "isic"), "split")

    assert found[-1].startswith("no image has a mask in ")


def test_images_of_no_split_are_told(tmp_path: Path) -> None:
    write_folder(tmp_path, stems="abcd")
    write_image(tmp_path, "e", blocks(0, 3))

    report = check_dataset(tmp_path)

    assert report.faults == ()
    assert report.remarks == ("in no split but 'all': 2 of 5 images, 1 without mask: d, e",)


def test_exif_turns_are_counted(tmp_path: Path) -> None:
    write_image(write_folder(tmp_path), "a", blocks(0, 3), orientation=3)

    report = check_dataset(tmp_path)

    assert [of.turned for of in report.splits] == [1, 0, 1]
    assert report.remarks[0].startswith("turned by EXIF: 1 of the images, 0 of the masks")


@pytest.mark.parametrize(
    ("orientation", "shape", "hint"),
    [
        (6, (40, 56), "fits the image as it is stored, before its EXIF orientation turns it"),
        (None, (56, 40), "its sides are swapped: turn it by a quarter"),
    ],
)
def test_masks_that_fit_only_when_turned_are_told_so(
    tmp_path: Path, orientation: int | None, shape: tuple[int, int], hint: str
) -> None:
    write_folder(tmp_path)
    write_image(tmp_path, "a", blocks(0, 3, 40, 56), orientation)
    write_mask(tmp_path, "a", blocks(0, 3, *shape))

    assert hint in messages(check_dataset(tmp_path), "size")[0]


def test_a_turned_mask_that_fits_as_stored_is_told_so(tmp_path: Path) -> None:
    write_folder(tmp_path)
    write_image(tmp_path, "a", blocks(0, 3, 40, 56))
    (tmp_path / "masks/a.png").unlink()
    turned = write_image(tmp_path / "other", "a", blocks(0, 3, 40, 56), orientation=6)
    turned.rename(tmp_path / "masks/a.jpg")

    (message,) = messages(check_dataset(tmp_path), "size")
    assert "take the EXIF orientation out of the mask" in message


def test_number_types_that_differ_are_told(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "images/c.jpg").unlink()
    write_tiff(tmp_path / "images/c.tif", np.zeros((3, 48, 48), np.uint16))

    assert check_dataset(tmp_path).remarks == (
        "images differ in their number type: 2 of uint8, 1 of uint16",
    )


def test_part_of_a_benchmark_is_told_how_much_is_absent(tmp_path: Path) -> None:
    report = check_dataset(deepglobe(tmp_path, ["100694", "4"]), "deepglobe")

    assert [of.absent for of in report.splits] == [453, 207, 142, 0]
    assert "split 'train': 453 of its 454 images are not in" in messages(report, "split")[0]
    assert len(report.faults[0].names) == 453
    assert report.splits[-1].ignored_pixels > 0


def test_a_drawn_split_without_images_and_other_files_are_told(tmp_path: Path) -> None:
    isic(tmp_path, ["ISIC_0000000"])
    (tmp_path / "ISIC2018_Task1-2_Training_Input/mean.jpg").touch()

    report = check_dataset(tmp_path, "isic")

    assert len(messages(report, "split")) == 2
    assert messages(report, "split")[0].startswith("split 'validation' is empty: 1 of the")
    assert "not named as files of this benchmark, and left alone: mean.jpg" in report.remarks


def test_georeferenced_tiles_are_checked(tmp_path: Path) -> None:
    report = check_dataset(inria(tmp_path), "inria")

    assert report.faults == ()
    assert [of.images for of in report.splits] == [24, 6, 5, 35]


def test_progress_tells_every_image_once(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    check_dataset(write_folder(tmp_path), progress=lambda *at: told.append(at))

    assert told == [("reading images and masks", done, 3) for done in range(4)]


def test_a_sheet_shows_images_of_every_split_with_their_masks(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"

    report = check_dataset(write_folder(tmp_path), sheet=sheet)

    assert report.sheet == str(sheet)
    with open_raster(sheet) as picture:
        assert picture.size.width == 8 + 3 * 248
    with pytest.raises(OutputError, match="exists"):
        check_dataset(tmp_path, sheet=sheet)
    check_dataset(tmp_path, sheet=sheet, overwrite=True)


def test_a_place_for_no_sheet_is_found_out_first(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    with pytest.raises(OutputError, match=r"must end in one of \.png"):
        check_dataset(
            write_folder(tmp_path), sheet=tmp_path / "a.pdf", progress=lambda *at: told.append(at)
        )

    assert told == []


def test_without_anything_to_draw_the_rest_is_told(tmp_path: Path) -> None:
    write_image(tmp_path, "a", blocks(0, 2))
    (tmp_path / "dataset.yaml").write_text("classes: [a, b]")

    report = check_dataset(tmp_path, sheet=tmp_path / "sheet.png")

    assert report.remarks == ("there is no contact sheet, as no image and mask could be drawn",)
    assert report.sheet is None
    assert len(messages(report, "image without mask")) == 1
    assert not (tmp_path / "sheet.png").exists()


def test_faults_of_a_kind_stand_together(tmp_path: Path) -> None:
    write_folder(tmp_path, INDEX_YAML.replace("[c]", "[c, d]"), "abcd")
    for stem in "ac":
        write_mask(tmp_path, stem, blocks(0, 3, 40, 40))
    for stem in "bd":
        write_mask(tmp_path, stem, photo(blocks(0, 3)))

    report = check_dataset(tmp_path)

    assert [fault.kind for fault in report.faults] == ["size", "size", "encoding", "encoding"]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").touch()

    with pytest.raises(DatasetError, match=r"expected the folders images and masks.*notes\.jpg"):
        check_dataset(tmp_path)
