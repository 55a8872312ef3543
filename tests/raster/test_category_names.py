from pathlib import Path
from xml.etree import ElementTree

import pytest

from glnet.raster.writing.category_names import add_category_names, is_cut_short

NAMES = ["soil", "Unkräuter & <mehr>", ""]


def categories(path: Path) -> list[str]:
    root = ElementTree.parse(path).getroot()
    found = root.findall("PAMRasterBand[@band='1']/CategoryNames/Category")
    return [category.text or "" for category in found]


def test_names_are_written_beside_the_picture(tmp_path: Path) -> None:
    add_category_names(tmp_path / "a.tif", NAMES)

    assert [file.name for file in tmp_path.iterdir()] == ["a.tif.aux.xml"]
    assert categories(tmp_path / "a.tif.aux.xml") == NAMES
    assert not is_cut_short(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "band", ["", '<PAMRasterBand band="1"><Description>é</Description></PAMRasterBand>']
)
def test_what_gdal_has_put_there_is_kept(tmp_path: Path, band: str) -> None:
    sidecar = tmp_path / "a.png.aux.xml"
    sidecar.write_text(f"<PAMDataset><SRS>here</SRS>{band}</PAMDataset>\n", encoding="utf-8")

    add_category_names(tmp_path / "a.png", NAMES)

    root = ElementTree.parse(sidecar).getroot()
    assert root.findtext("SRS") == "here"
    assert root.findtext("PAMRasterBand/Description") == ("é" if band else None)
    assert len(root.findall("PAMRasterBand")) == 1
    assert categories(sidecar) == NAMES


@pytest.mark.parametrize("rest", ["", "<PAMDataset><SRS>he"])
def test_a_file_that_is_cut_short_is_left_to_be_found(tmp_path: Path, rest: str) -> None:
    sidecar = tmp_path / "a.png.aux.xml"
    sidecar.write_text(rest)

    add_category_names(tmp_path / "a.png", NAMES)

    assert is_cut_short(tmp_path / "a.png")
    assert sidecar.read_text() == rest


def test_a_picture_with_nothing_beside_it_is_whole(tmp_path: Path) -> None:
    assert not is_cut_short(tmp_path / "a.tif")
