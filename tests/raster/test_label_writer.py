import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from glnet.errors import OutputError
from glnet.geometry import Size, Window
from glnet.raster import Georeference, LabelWriter, Palette, open_raster
from glnet.raster.gdal import gdal_settings

PLACE = Georeference(CRS.from_epsg(32633), Affine(0.5, 0, 400000, 0, -0.5, 5000000))
COLORS = [(0, 0, 0), (250, 10, 20), (0, 200, 0)]
NAMES = ["soil", "crop", "Unkräuter"]


def random_labels(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height).integers(0, 3, (height, width), dtype=np.uint8)


def write_parts(path: Path, size: Size, *parts: NDArray[Any]) -> None:
    with LabelWriter(path, size) as writer:
        for part in parts:
            writer.write(part)


def write_all(path: Path, labels: NDArray[np.uint8], rows: int = 100, **options: Any) -> None:  # noqa: ANN401
    with LabelWriter(path, Size(*labels.shape), **options) as writer:
        for row in range(0, len(labels), rows):
            writer.write(labels[row : row + rows])


def read_all(path: Path) -> NDArray[Any]:
    with open_raster(path, Palette.KEEP) as raster:
        (labels,) = raster.read(Window(0, 0, raster.size))
    return np.asarray(labels)


@pytest.mark.parametrize("suffix", ["tif", "tiff", "TIF", "png"])
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(height=st.integers(1, 1300), width=st.integers(1, 700), rows=st.integers(1, 1400))
def test_what_is_written_in_strips_is_read_back(
    tmp_path: Path, suffix: str, height: int, width: int, rows: int
) -> None:
    path = tmp_path / f"a.{suffix}"
    labels = random_labels(height, width)

    write_all(path, labels, rows, colors=COLORS, overwrite=True)

    assert np.array_equal(read_all(path), labels)


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_colours_names_nodata_and_place_are_stored(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    labels = random_labels(30, 40)

    options: dict[str, Any] = {
        "georeference": PLACE,
        "colors": COLORS,
        "class_names": NAMES,
        "nodata": 255,
    }
    write_all(path, labels, **options)

    with open_raster(path, Palette.KEEP) as raster:
        assert raster.georeference == PLACE
        assert raster.nodata == 255
        assert raster.palette is not None
        assert [raster.palette[label] for label in range(3)] == COLORS
    with gdal_settings(), rasterio.open(path) as file:
        assert json.loads(file.tags()["GLNET_CLASSES"]) == NAMES


def test_a_geotiff_is_tiled_and_compressed(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"

    write_all(path, np.zeros((1100, 900), dtype=np.uint8))

    with gdal_settings(), rasterio.open(path) as file:
        assert file.block_shapes == [(512, 512)]
        assert file.compression is rasterio.enums.Compression.deflate
    assert path.stat().st_size < 20_000


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_ground_control_points_are_stored(tmp_path: Path, name: str) -> None:
    points = [
        GroundControlPoint(row, column, column, -row, id="p") for row, column in ((0, 0), (5, 9))
    ]
    place = Georeference(gcps=tuple(points), gcps_crs=CRS.from_epsg(4326))

    write_all(tmp_path / name, random_labels(20, 20), georeference=place)

    with open_raster(tmp_path / name) as raster:
        stored = raster.georeference
    assert stored.gcps_crs == place.gcps_crs
    assert [(p.row, p.col, p.x, p.y) for p in stored.gcps] == [(0, 0, 0, 0), (5, 9, 9, -5)]


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_nothing_is_seen_before_the_end(tmp_path: Path, name: str) -> None:
    with LabelWriter(tmp_path / name, Size(600, 10)) as writer:
        writer.write(random_labels(600, 10))

        assert not (tmp_path / name).exists()
        assert all(file.name.startswith(".") for file in tmp_path.iterdir())
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_writer_leaves_nothing(
    tmp_path: Path, name: str, error: type[BaseException]
) -> None:
    with (  # noqa: PT012 - the error comes from within the block
        pytest.raises(error),
        LabelWriter(tmp_path / name, Size(600, 10), PLACE) as writer,
    ):
        writer.write(random_labels(550, 10))
        raise error

    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_writer_leaves_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    labels = random_labels(20, 20)
    write_all(path, labels)

    with (
        pytest.raises(OutputError, match="got only 0"),
        LabelWriter(path, Size(9, 9), overwrite=True),
    ):
        pass

    assert [*tmp_path.iterdir()] == [path]
    assert np.array_equal(read_all(path), labels)


def test_a_replaced_file_takes_its_sidecars_along(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_all(path, random_labels(20, 20), georeference=PLACE)
    (tmp_path / "a.png.ovr").touch()
    assert (tmp_path / "a.png.aux.xml").exists()

    write_all(path, random_labels(20, 20), overwrite=True)

    assert list(tmp_path.iterdir()) == [path]


def test_places_where_nothing_can_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "there.tif").touch()
    (tmp_path / "folder.tif").mkdir()

    for name, message in (
        ("there.tif", "exists already"),
        ("folder.tif", "is a folder"),
        ("missing/a.tif", "does not exist"),
        ("there.tif/a.tif", "does not exist"),
        ("a.jpg", r"one of \.tif, \.tiff, \.png, got '\.jpg'"),
        ("a", r"got ''"),
        ("x" * 300 + ".tif", "no place to write to"),
    ):
        with pytest.raises(OutputError, match=message):
            LabelWriter(tmp_path / name, Size(4, 4))


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_folder_that_is_closed_to_us_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(OutputError, match="not writable"):
        LabelWriter(tmp_path / "a.tif", Size(4, 4))


def test_a_folder_that_access_denies_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glnet.raster.writing.output.os.access", lambda *_: False)

    with pytest.raises(OutputError, match="not writable"):
        LabelWriter(tmp_path / "a.tif", Size(4, 4))


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_a_folder_that_vanishes_is_an_error(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    writer = LabelWriter(folder / name, Size(4, 4))
    folder.rmdir()

    with pytest.raises(OutputError, match="could not be written whole"):
        writer.__enter__()


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    writer = LabelWriter(path, Size(4, 4)).__enter__()
    writer.write(random_labels(4, 4))
    path.write_text("someone else's")

    with pytest.raises(OutputError, match="exists already"):
        writer.__exit__(None, None, None)

    assert path.read_text() == "someone else's"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((2, 5), dtype=np.uint8), r"\(rows, 4\), got \(2, 5\)"),
        (np.zeros((2, 4, 1), dtype=np.uint8), r"\(rows, 4\), got \(2, 4, 1\)"),
        (np.zeros((2, 4), dtype=np.int64), "uint8, got int64"),
        (np.zeros((4, 4), dtype=np.uint8), "3 rows left to write, got 4"),
    ],
)
def test_rows_that_do_not_fit_are_refused(
    tmp_path: Path, labels: NDArray[Any], message: str
) -> None:
    first = np.zeros((1, 4), dtype=np.uint8)

    with pytest.raises(OutputError, match=message):
        write_parts(tmp_path / "a.tif", Size(4, 4), first, labels)

    assert list(tmp_path.iterdir()) == []


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="needs 4 rows, got only 3"):
        write_parts(tmp_path / "a.tif", Size(4, 4), random_labels(3, 4))

    assert list(tmp_path.iterdir()) == []


def test_a_writer_writes_once_and_inside_its_block(tmp_path: Path) -> None:
    writer = LabelWriter(tmp_path / "a.tif", Size(4, 4))
    labels = random_labels(4, 4)

    with pytest.raises(OutputError, match="inside its with block"):
        writer.write(labels)
    with writer:
        writer.write(labels)
    with pytest.raises(OutputError, match="inside its with block"):
        writer.write(labels)
    with pytest.raises(OutputError, match="make another writer"):
        writer.__enter__()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colors": [(0, 0, 0)] * 257}, "at most 256 colours, got 257"),
        ({"class_names": ["x"] * 257}, "at most 256 class names, got 257"),
        ({"colors": [(0, 0, 256)]}, r"0\.\.255, got \(0, 0, 256\)"),
        ({"colors": [(0, 0)]}, "a colour is"),
        ({"nodata": 256}, "nodata label"),
        ({"nodata": -1}, "nodata label"),
    ],
)
def test_what_labels_cannot_be_is_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OutputError, match=message):
        LabelWriter(tmp_path / "a.tif", Size(4, 4), **options)
