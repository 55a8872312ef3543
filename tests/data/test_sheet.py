from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from glnet.data import open_dataset
from glnet.data.sheet import MOST_IMAGES, choose, write_sheet
from glnet.errors import OutputError
from glnet.geometry import Window
from glnet.raster import open_raster
from tests.data.labelled_folder import write_folder, write_image, write_mask


@pytest.mark.parametrize(
    ("counts", "chosen"),
    [
        ((30, 30, 30), (8, 8, 8)),
        ((30, 2, 30), (11, 2, 11)),
        ((3, 2, 0), (3, 2, 0)),
        ((40, 0, 0), (24, 0, 0)),
    ],
)
def test_splits_share_the_sheet_evenly(
    tmp_path: Path, counts: tuple[int, ...], chosen: tuple[int, ...]
) -> None:
    lists = {
        name: [f"{name}{k:02d}" for k in range(count)]
        for name, count in zip("abc", counts, strict=True)
    }
    for stem in (stem for listed in lists.values() for stem in listed):
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"{stem}.png").touch()
    filled = {name: listed for name, listed in lists.items() if listed}
    (tmp_path / "dataset.yaml").write_text(f"classes: [x, y]\nsplits: {{lists: {filled}}}")
    dataset = open_dataset(tmp_path)

    samples = choose(dataset, {sample.stem for sample in dataset.samples})

    found = Counter(split for split, _ in samples)
    assert tuple(found[name] for name in "abc") == chosen
    assert len({sample.stem for _, sample in samples}) == len(samples) <= MOST_IMAGES


def test_only_healthy_images_are_chosen_and_evenly(tmp_path: Path) -> None:
    dataset = open_dataset(write_folder(tmp_path))

    assert [sample.stem for _, sample in choose(dataset, {"b", "c"})] == ["b", "c"]
    assert choose(dataset, set()) == []


def test_a_sheet_needs_something_to_draw(tmp_path: Path) -> None:
    dataset = open_dataset(write_folder(tmp_path))

    with pytest.raises(OutputError, match="no image and mask that could be drawn"):
        write_sheet(tmp_path / "sheet.png", dataset, set(), False, lambda *_: None)
    assert not (tmp_path / "sheet.png").exists()


def test_masks_lie_where_they_belong(tmp_path: Path) -> None:
    """A turned image whose mask is drawn as displayed: the halves must meet."""
    labels = np.zeros((480, 640), np.uint8)
    labels[:, 320:] = 1
    write_image(tmp_path, "a", np.rot90(labels, 2) * 8, orientation=3)
    write_mask(tmp_path, "a", labels)
    (tmp_path / "dataset.yaml").write_text(
        "classes: [{name: left, color: '#000000'}, {name: right, color: '#ffffff'}]"
    )
    sheet = tmp_path / "sheet.png"

    write_sheet(sheet, open_dataset(tmp_path), {"a"}, False, lambda *_: None)

    with open_raster(sheet) as raster:
        picture = raster.read(Window(0, 0, raster.size)).astype(float)
    left, right = picture[:, 20:180, 12:120], picture[:, 20:180, 136:240]
    assert left[0].max() < 10
    assert right[0].min() > 240
