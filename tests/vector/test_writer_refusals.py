"""What cannot be written is refused in one line, and leaves nothing behind."""

import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio.crs import CRS

from glnet.errors import ConfigurationError, GLNetError, OutputError
from glnet.geometry import Size
from glnet.raster import Georeference
from glnet.vector import PolygonWriter
from tests.vector.drawn import speckled, write_all

NAMES = ["a.gpkg", "a.geojson"]
every_told = pytest.mark.parametrize("told", [True, False], ids=["by PROJ", "by infinity"])
every_name = pytest.mark.parametrize("name", NAMES)
LABELS = speckled(20, 30)
SIZE = Size(20, 30)


@pytest.mark.parametrize("name", ["a.tif", "a.shp", "a.json", "a"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"must end in one of \.gpkg, \.geojson"):
        PolygonWriter(tmp_path / name, SIZE)


@every_name
def test_an_existing_file_is_kept(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")

    with pytest.raises(OutputError, match="exists already"):
        PolygonWriter(tmp_path / name, SIZE)

    assert (tmp_path / name).read_text() == "mine"


@every_name
def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path, name: str) -> None:
    def write() -> None:
        with PolygonWriter(tmp_path / name, SIZE) as writer:
            writer.write(LABELS)
            (tmp_path / name).write_text("mine")

    with pytest.raises(OutputError, match="exists already"):
        write()

    assert (tmp_path / name).read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


@every_name
def test_a_missing_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        PolygonWriter(tmp_path / "no" / name, SIZE)


@every_name
def test_a_folder_that_access_denies_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glnet.raster.writing.output.os.access", lambda *_: False)

    with pytest.raises(OutputError, match="not writable"):
        PolygonWriter(tmp_path / name, SIZE)


@every_name
def test_a_folder_that_vanishes_is_told(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    writer = PolygonWriter(folder / name, SIZE)
    folder.rmdir()

    with pytest.raises(OutputError, match="could not be written whole"):
        writer.__enter__()


def test_a_geopackage_that_is_open_elsewhere_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    write_all(path, LABELS)
    other = sqlite3.connect(path)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("UPDATE gpkg_contents SET description = 'x'")
    other.commit()

    with pytest.raises(OutputError, match=r"a\.gpkg-wal exists, so another program"):
        PolygonWriter(path, SIZE, overwrite=True)

    other.close()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (LABELS.astype(np.int16), "must be uint8, got int16"),
        (LABELS[:, 1:], r"must be \(rows, 30\), got \(20, 29\)"),
        (LABELS[0], r"must be \(rows, 30\), got \(30,\)"),
        (np.concatenate([LABELS, LABELS]), "20 rows left to write, got 40"),
        (LABELS[1:], "needs 20 rows, got only 19"),
    ],
)
@every_name
def test_rows_that_do_not_fit_are_refused(
    tmp_path: Path, name: str, rows: NDArray[Any], message: str
) -> None:
    def write() -> None:
        with PolygonWriter(tmp_path / name, SIZE) as writer:
            writer.write(rows)

    with pytest.raises(OutputError, match=message):
        write()

    assert list(tmp_path.iterdir()) == []


@every_name
def test_an_interrupted_block_leaves_nothing(tmp_path: Path, name: str) -> None:
    def write() -> None:
        with PolygonWriter(tmp_path / name, SIZE) as writer:
            writer.write(LABELS[:9])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()

    assert list(tmp_path.iterdir()) == []


def test_a_writer_writes_once_and_only_in_its_block(tmp_path: Path) -> None:
    writer = PolygonWriter(tmp_path / "a.gpkg", SIZE)
    with pytest.raises(OutputError, match="inside its with block"):
        writer.write(LABELS)
    with writer:
        writer.write(LABELS)

    with pytest.raises(OutputError, match="has been written"):
        writer.__enter__()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.gpkg", {"simplify": 0.0}, "simplify is a distance"),
        ("a.gpkg", {"simplify": float("nan")}, "simplify is a distance"),
        ("a.geojson", {"scale": 0.0, "flavor": "qupath"}, "scale is a factor over 0"),
        ("a.geojson", {"scale": 2.0}, "scale is for QuPath only"),
        ("a.gpkg", {"flavor": "qupath"}, r"QuPath reads \.geojson"),
        ("a.geojson", {"flavor": "leaflet"}, "flavor must be one of plain, qupath, got leaflet"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PolygonWriter(tmp_path / name, SIZE, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colors": [(1, 2, 300)]}, "a colour is"),
        ({"class_names": ["a"] * 257}, "at most 256 class names"),
        ({"nodata": 256}, "nodata label must be in 0..255"),
    ],
)
def test_what_labels_cannot_have_is_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OutputError, match=message):
        PolygonWriter(tmp_path / "a.gpkg", SIZE, **options)


def test_a_place_without_longitude_is_refused_before_the_work(tmp_path: Path) -> None:
    local = Georeference(
        CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]'),
        Georeference.north_up(32633, 0, 0, 1).transform,
    )

    with pytest.raises(OutputError, match=r"longitude and latitude.*; write polygons as \.gpkg"):
        PolygonWriter(tmp_path / "a.geojson", SIZE, local)


@every_told
def test_a_point_without_longitude_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    # The middle of the map is on Earth, its corner in space.
    seen = CRS.from_proj4("+proj=geos +h=35785831 +lon_0=0 +ellps=WGS84")
    north_up = Georeference.north_up(4326, -6_000_000, 6_000_000, 600_000)
    place = Georeference(seen, north_up.transform)
    if not told:
        nowhere = float("inf")
        monkeypatch.setattr(
            "glnet.vector.placement.reprojected",
            lambda *_: ([0.0] if len(_[2]) == 1 else [nowhere] * len(_[2]),) * 2,
        )

    with pytest.raises(OutputError, match=r"longitude and latitude.*; write polygons as \.gpkg"):
        write_all(tmp_path / "a.geojson", np.zeros((20, 20), np.uint8), georeference=place)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("library", ["shapely", "pyogrio"])
def test_a_missing_library_is_told_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(OutputError, match=r"pip install 'glnet\[vector\]'") as caught:
        PolygonWriter(tmp_path / "a.gpkg", SIZE)

    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, GLNetError)
