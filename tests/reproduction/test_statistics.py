"""Table 1 from folders: sizes counted, without looking at pixels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glnet.data import open_dataset
from glnet.geometry import Size
from glnet.raster import RasterFile
from glnet.reproduction.paper import DATASETS
from glnet.reproduction.statistics import (
    BARE_4K_PIXELS,
    IMAGES,
    LARGEST,
    MEAN,
    PAPER_IMAGES,
    PAPER_MEAN,
    SHARE,
    STATISTICS_DECIMALS,
    DatasetStatistics,
    dataset_statistics,
    statistics_row,
)
from glnet.reproduction.tables import ResultTable, table_page
from tests.data.downloads import SIDE, blocks, deepglobe, inria, isic
from tests.data.labelled_folder import write_folder, write_image, write_mask

REAL = Path(__file__).parents[3] / "shared" / "data"
CONFIGS = Path(__file__).parents[2] / "configs"
needs_images = pytest.mark.skipif(
    not REAL.exists(), reason="the real images are not on this machine"
)


def flat_image(root: Path, stem: str, height: int, width: int) -> None:
    """An image and mask of one value each, which take little on disk."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(np.zeros((height, width), np.uint8))
        picture.save(root / folder / f"{stem}.png")


def test_images_of_all_splits_count(tmp_path: Path) -> None:
    found = dataset_statistics(open_dataset(deepglobe(tmp_path), "deepglobe"))

    assert found == DatasetStatistics(
        images=3,
        without_mask=0,
        largest=Size(SIDE, SIDE),
        largest_stem="119",
        mean_megapixels=SIDE**2 / 1e6,
        sizes=1,
        share_4k=0.0,
        unreadable=(),
    )
    assert found.is_uniform


def test_sizes_may_differ(tmp_path: Path) -> None:
    found = dataset_statistics(open_dataset(isic(tmp_path), "isic"))

    sizes = [Size(SIDE + 3 * k, SIDE - 2 * k) for k in range(3)]
    largest = max(sizes, key=lambda of: of.area)
    assert found.largest == largest
    assert (
        found.largest_stem == ("ISIC_0000000", "ISIC_0000001", "ISIC_0000003")[sizes.index(largest)]
    )
    assert found.mean_megapixels == pytest.approx(sum(of.area for of in sizes) / 3e6)
    assert (found.sizes, found.is_uniform) == (3, False)


def test_tiles_without_ground_truth_do_not_count(tmp_path: Path) -> None:
    found = dataset_statistics(open_dataset(inria(tmp_path), "inria"))

    assert found.images == 5 * 7
    assert found.without_mask == 0


def test_photos_count_as_they_are_displayed_and_those_without_mask_apart(tmp_path: Path) -> None:
    write_folder(tmp_path, "classes: [soil, carrot, weed]\nsplits: {lists: {train: [a]}}\n", "a")
    write_image(tmp_path, "b", blocks(0, 3, 20, 30), orientation=6)
    write_image(tmp_path, "z", blocks(0, 3, 200, 300))
    write_mask(tmp_path, "b", blocks(0, 3, 30, 20))
    (tmp_path / "dataset.yaml").write_text(
        "classes: [soil, carrot, weed]\nsplits: {lists: {train: [a], test: [b, z]}}\n"
    )

    found = dataset_statistics(open_dataset(tmp_path))

    assert (found.images, found.without_mask) == (2, 1)
    assert found.mean_megapixels == pytest.approx((SIDE**2 + 600) / 2e6)


def test_4k_counts_from_the_lower_bar_on(tmp_path: Path) -> None:
    for stem, height, width in (("a", 1080, 3840), ("b", 1079, 3840), ("c", 3840, 1080)):
        flat_image(tmp_path, stem, height, width)
    (tmp_path / "dataset.yaml").write_text("classes: [nothing, something]\n")

    found = dataset_statistics(open_dataset(tmp_path))

    assert found.share_4k == pytest.approx(2 / 3)


def test_the_bar_is_the_one_that_table_1_follows() -> None:
    uniform = [of for of in DATASETS if of.is_uniform]

    assert len(uniform) == 4
    for of in uniform:
        assert (of.largest.area >= BARE_4K_PIXELS) == (of.share_4k == 100)


def test_damaged_images_are_named_and_the_others_counted(tmp_path: Path) -> None:
    stems = ("119", "2334", "71619", "8", "9")
    deepglobe(tmp_path, stems)
    for stem in stems[1:]:
        (tmp_path / "train" / f"{stem}_sat.jpg").write_bytes(b"no picture")

    found = dataset_statistics(open_dataset(tmp_path, "deepglobe"))
    row = statistics_row("deepglobe", "DeepGlobe", found, None)

    assert (found.images, found.sizes) == (5, 1)
    assert [stem for stem, _ in found.unreadable] == ["2334", "71619", "8", "9"]
    assert all(f"{stem}_sat.jpg" in why for stem, why in found.unreadable)
    assert row.note.endswith("4 cannot be read: 2334, 71619, 8 and 1 more")


def test_a_dataset_that_cannot_be_read_at_all_has_no_sizes(tmp_path: Path) -> None:
    deepglobe(tmp_path, ["119"])
    (tmp_path / "train" / "119_sat.jpg").write_bytes(b"no picture")

    found = dataset_statistics(open_dataset(tmp_path, "deepglobe"))
    row = statistics_row("deepglobe", "DeepGlobe", found, DATASETS[0])

    assert (found.largest, found.mean_megapixels, found.share_4k) == (None, None, None)
    assert not found.is_uniform
    assert row.values[IMAGES] == 1
    assert row.values[LARGEST] is row.values[MEAN] is row.values[SHARE] is None


def test_only_headers_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_dataset(isic(tmp_path), "isic")
    told: list[tuple[str, int, int]] = []

    def refuse(*_: object) -> None:
        raise AssertionError("pixels were read")

    monkeypatch.setattr(RasterFile, "read", refuse)
    monkeypatch.setattr(RasterFile, "read_masked", refuse)
    found = dataset_statistics(dataset, lambda *of: told.append(of))

    assert found.images == 3
    assert [done for _, done, _ in told] == [0, 1, 2, 3]
    assert {total for *_, total in told} == {3}


def test_a_row_stands_beside_the_papers(tmp_path: Path) -> None:
    found = dataset_statistics(open_dataset(isic(tmp_path), "isic"))

    row = statistics_row("isic", "ISIC", found, DATASETS[1])
    absent = statistics_row("inria", "Inria Aerial", None, DATASETS[2])
    page = table_page(ResultTable("t", "", [row, absent], decimals=STATISTICS_DECIMALS))

    assert tuple(row.values) == tuple(STATISTICS_DECIMALS)
    assert (row.values[PAPER_IMAGES], row.values[PAPER_MEAN]) == (2594, 9)
    assert row.values[IMAGES] == 3
    assert "3 sizes" in row.note
    assert absent.skipped == "no such dataset was given"
    assert "| Inria Aerial | – | 180 |" in page  # noqa: RUF001 - an en dash.


@needs_images
@pytest.mark.parametrize(
    ("folder", "images", "size"),
    [("hrf_vessels", 15, Size(2336, 3504)), ("carrot_weed", 24, Size(2448, 3264))],
)
def test_real_photos_are_counted(folder: str, images: int, size: Size) -> None:
    description = CONFIGS / folder / "dataset.yaml"

    found = dataset_statistics(open_dataset(REAL / folder, description=description))

    assert found.largest == size
    assert (found.images, found.is_uniform, found.share_4k) == (images, True, 1.0)
