"""What is written beside a result belongs to that result and to no other."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from glnet.geometry import Size
from glnet.raster import LabelWriter
from glnet.raster.writing.output import partial_beside, partial_file, remove_partials_of
from glnet.vector import PolygonWriter

# Names of satellite scenes are the same for longer than what a hidden name begins with.
FIRST, SECOND = (f"S2A_MSIL2A_20200101T101031_N0213_R022_T33U{of}P_20200101T121500" for of in "VU")
SIZE = Size(4, 4)


@pytest.mark.parametrize(
    ("suffix", "writer"), [(".tif", LabelWriter), (".png", LabelWriter), (".gpkg", PolygonWriter)]
)
def test_a_result_that_is_being_written_outlasts_the_start_of_another(
    tmp_path: Path, suffix: str, writer: Callable[..., LabelWriter | PolygonWriter]
) -> None:
    first, second = tmp_path / f"{FIRST}{suffix}", tmp_path / f"{SECOND}{suffix}"

    with writer(first, SIZE) as begun:
        begun.write(np.zeros((2, 4), dtype=np.uint8))
        remove_partials_of(second)
        begun.write(np.zeros((2, 4), dtype=np.uint8))

    assert list(tmp_path.iterdir()) == [first]


def test_what_was_left_of_a_result_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path, other = tmp_path / f"[{FIRST}]*.tif", tmp_path / f"[{FIRST}]*.tiff"
    file, folder, kept = partial_beside(path), partial_beside(path), partial_beside(other)
    for of in (file, file.with_name(f"{file.name}.aux.xml"), kept):
        of.touch()
    folder.mkdir()
    (folder / "polygons.gpkg").touch()

    remove_partials_of(path)

    assert list(tmp_path.iterdir()) == [kept]


@pytest.mark.parametrize("letter", ["a", "ä", "字"])
def test_a_name_that_is_allowed_for_a_result_is_allowed_for_its_beginnings(
    tmp_path: Path, letter: str
) -> None:
    path = tmp_path / f"{letter * (240 // len(letter.encode()))}.tif"
    path.touch()

    with partial_file(path) as partial:
        partial.with_name(f"{partial.name}.aux.xml").touch()


def test_a_name_that_is_no_text_has_beginnings(tmp_path: Path) -> None:
    path = tmp_path / "a\udcff.tif"

    with partial_file(path) as partial:
        partial.touch()
        remove_partials_of(path)
        assert not partial.exists()
