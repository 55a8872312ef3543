"""What files of polygons hold."""

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio.warp
import shapely
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from glnet.raster import Georeference
from glnet.vector import Flavor
from tests.vector.drawn import (
    NODATA,
    Found,
    Labels,
    as_set,
    drawn_by_gdal,
    rasterized,
    read_geojson,
    read_package,
    speckled,
    write_all,
)

UTM, DEGREES = CRS.from_epsg(32633), CRS.from_epsg(4326)
PLACE = Georeference(UTM, Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000))
TURNED = Georeference(UTM, Affine.translation(4e5, 5e6) @ Affine.rotation(30) @ Affine.scale(2, -2))
POINTS = tuple(GroundControlPoint(r, c, c, r) for r, c in ((0, 0), (9, 0), (0, 9)))
NAMES, COLORS = ["soil", 'a "crop"', "Unkräuter"], [(0, 0, 0), (250, 10, 20), (0, 200, 0)]

FORMATS = {"a.gpkg": read_package, "a.geojson": read_geojson}
Read = Callable[[Path], Found]
every_format = pytest.mark.parametrize(("name", "read"), FORMATS.items())


@every_format
def test_fields_are_class_name_colour_and_counted_area(
    tmp_path: Path, name: str, read: Read
) -> None:
    labels = speckled(40, 50)

    write_all(tmp_path / name, labels, class_names=NAMES, colors=COLORS)

    found = read(tmp_path / name)
    classes = found.fields["class"]
    assert list(found.fields) == ["class", "name", "color", "area"]
    assert found.fields["name"] == [NAMES[of] for of in classes]
    assert found.fields["color"] == [["#000000", "#fa0a14", "#00c800"][of] for of in classes]
    assert found.fields["area"] == shapely.area(found.polygons).tolist()
    assert sum(found.fields["area"]) == labels.size


@every_format
def test_labels_without_names_and_colours_have_numbers_and_greys(
    tmp_path: Path, name: str, read: Read
) -> None:
    write_all(tmp_path / name, np.array([[0, 200]], np.uint8), class_names=["a"], nodata=None)

    fields = read(tmp_path / name).fields
    assert dict(zip(fields["name"], fields["color"], strict=True)) == {
        "a": "#000000",
        "200": "#c8c8c8",
    }


@every_format
@pytest.mark.parametrize(
    "place",
    [None, Georeference(gcps=POINTS, gcps_crs=UTM), Georeference(crs=UTM)],
    ids=["nowhere", "control points", "crs alone"],
)
def test_without_a_place_coordinates_are_pixels(
    tmp_path: Path, name: str, read: Read, place: Georeference | None
) -> None:
    labels = speckled(30, 20)

    write_all(tmp_path / name, labels, georeference=place)

    found = read(tmp_path / name)
    assert as_set(found.polygons, found.fields["class"]) == as_set(*drawn_by_gdal(labels))
    assert shapely.is_ccw(shapely.get_exterior_ring(found.polygons)).all()
    if read is read_package:
        assert found.crs is not None
        assert "Undefined Cartesian SRS" in found.crs
    else:
        assert json.loads((tmp_path / name).read_text())["crs"] is None


@pytest.mark.parametrize("place", [PLACE, TURNED], ids=["north up", "turned"])
def test_a_geopackage_has_the_place_of_the_raster(tmp_path: Path, place: Georeference) -> None:
    labels = speckled(30, 20)

    write_all(tmp_path / "a.gpkg", labels, georeference=place)

    found = read_package(tmp_path / "a.gpkg")
    assert found.crs == "EPSG:32633"
    expected = drawn_by_gdal(labels, transform=place.transform)
    assert as_set(found.polygons, found.fields["class"]) == as_set(*expected)
    assert shapely.is_valid(found.polygons).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(found.polygons)).all()


def test_a_map_of_an_unknown_place_keeps_its_coordinates_in_a_geopackage(tmp_path: Path) -> None:
    labels, place = speckled(30, 20), Georeference(None, PLACE.transform)

    write_all(tmp_path / "a.gpkg", labels, georeference=place)
    write_all(tmp_path / "a.geojson", labels, georeference=place)

    package, text = read_package(tmp_path / "a.gpkg"), read_geojson(tmp_path / "a.geojson")
    expected = drawn_by_gdal(labels, transform=place.transform)
    assert as_set(package.polygons, package.fields["class"]) == as_set(*expected)
    assert as_set(text.polygons, text.fields["class"]) == as_set(*drawn_by_gdal(labels))


@pytest.mark.parametrize("place", [PLACE, TURNED], ids=["north up", "turned"])
def test_geojson_is_in_longitude_and_latitude(tmp_path: Path, place: Georeference) -> None:
    labels = speckled(150, 140)

    write_all(tmp_path / "a.geojson", labels, georeference=place)

    found = read_geojson(tmp_path / "a.geojson")
    assert "crs" not in json.loads((tmp_path / "a.geojson").read_text())
    assert shapely.is_valid(found.polygons).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(found.polygons)).all()
    back = shapely.transform(
        found.polygons,
        lambda points: np.array(rasterio.warp.transform(DEGREES, UTM, *points.T)).T,
    )
    drawn = rasterized(back, found.fields["class"], labels, transform=place.transform)
    assert np.array_equal(drawn, labels)


def test_degrees_have_no_more_digits_than_they_need(tmp_path: Path) -> None:
    write_all(tmp_path / "a.geojson", speckled(30, 20), georeference=PLACE)

    text = (tmp_path / "a.geojson").read_text()
    decimals = [len(of) for of in re.findall(r"\.(\d+)", text)]
    assert max(decimals) == 9


def test_coordinates_in_degrees_are_left_as_they_are(tmp_path: Path) -> None:
    labels, place = speckled(30, 20), Georeference.north_up(4326, 10, 50, 1e-4)

    write_all(tmp_path / "a.geojson", labels, georeference=place)

    found = read_geojson(tmp_path / "a.geojson")
    expected = drawn_by_gdal(labels, transform=place.transform)
    assert as_set(found.polygons, found.fields["class"]) == as_set(*expected)


def test_a_long_edge_does_not_cross_a_hole_beside_it(tmp_path: Path) -> None:
    # Over 10 km, a straight line in UTM is metres away from one in longitude and latitude.
    labels = np.zeros((3, 20_000), dtype=np.uint8)
    labels[1, 10_000] = 1

    write_all(tmp_path / "a.geojson", labels, georeference=PLACE)

    found = read_geojson(tmp_path / "a.geojson")
    assert shapely.is_valid(found.polygons).all()
    hole, around = found.polygons[np.argsort(found.fields["area"])]
    assert shapely.touches(hole, around)


def test_qupath_gets_annotations_in_pixels_of_level_0(tmp_path: Path) -> None:
    labels = speckled(30, 20)
    options: dict[str, Any] = {"class_names": NAMES, "colors": COLORS, "georeference": PLACE}

    write_all(tmp_path / "a.geojson", labels, flavor=Flavor.QUPATH, scale=4.0, **options)

    found = read_geojson(tmp_path / "a.geojson")
    classes = [NAMES.index(of["name"]) for of in found.fields["classification"]]
    expected = drawn_by_gdal(labels, transform=Affine.scale(4))
    assert as_set(found.polygons, classes) == as_set(*expected)
    assert set(found.fields) == {"objectType", "classification"}
    assert set(found.fields["objectType"]) == {"annotation"}
    assert found.fields["classification"] == [
        {"name": NAMES[of], "color": list(COLORS[of])} for of in classes
    ]


@every_format
@pytest.mark.parametrize("place", [None, PLACE], ids=["pixels", "a place"])
def test_simplified_polygons_are_valid_and_near(
    tmp_path: Path, name: str, read: Read, place: Georeference | None
) -> None:
    labels = _disks()

    write_all(tmp_path / name, labels, simplify=1.5, georeference=place)
    write_all(tmp_path / f"exact-{name}", labels, georeference=place)

    simple, exact = read(tmp_path / name), read(tmp_path / f"exact-{name}")
    assert shapely.is_valid(simple.polygons).all()
    assert simple.fields == exact.fields
    assert _points(simple) < _points(exact) / 3
    if place is None:
        assert (shapely.hausdorff_distance(simple.polygons, exact.polygons) <= 1.5).all()


def test_speckle_stays_valid_when_simplified(tmp_path: Path) -> None:
    labels = speckled(200, 200)

    write_all(tmp_path / "a.gpkg", labels, simplify=2.0, georeference=TURNED)

    found = read_package(tmp_path / "a.gpkg")
    assert shapely.is_valid(found.polygons).all()
    assert not shapely.is_empty(found.polygons).any()
    assert sum(found.fields["area"]) == labels.size


def test_a_polygon_that_simplifying_breaks_stays_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bow = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    monkeypatch.setattr(shapely, "simplify", lambda of, _: np.full(len(of), bow))
    labels = speckled(20, 20)

    write_all(tmp_path / "a.gpkg", labels, simplify=1.0)

    found = read_package(tmp_path / "a.gpkg")
    assert as_set(found.polygons, found.fields["class"]) == as_set(*drawn_by_gdal(labels))


@every_format
def test_a_map_without_polygons_becomes_a_file_without_features(
    tmp_path: Path, name: str, read: Read
) -> None:
    write_all(tmp_path / name, np.full((20, 30), NODATA, np.uint8), georeference=PLACE)

    found = read(tmp_path / name)
    assert len(found.polygons) == 0
    assert found.crs == ("EPSG:32633" if read is read_package else None)


@every_format
def test_batches_follow_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, read: Read
) -> None:
    monkeypatch.setattr("glnet.vector.writer.PIXELS_AT_ONCE", 100)
    monkeypatch.setattr("glnet.vector.writer.CORNERS_AT_ONCE", 50)
    monkeypatch.setattr("glnet.vector.writer.CORNERS_IN_MEMORY", 0)
    labels = speckled(100, 40)

    write_all(tmp_path / name, labels, 30)

    found = read(tmp_path / name)
    assert as_set(found.polygons, found.fields["class"]) == as_set(*drawn_by_gdal(labels))


@every_format
def test_a_file_that_is_replaced_has_nothing_of_the_old_one(
    tmp_path: Path, name: str, read: Read
) -> None:
    write_all(tmp_path / name, speckled(60, 40))

    write_all(tmp_path / name, np.zeros((2, 2), np.uint8), overwrite=True)

    assert read(tmp_path / name).fields["area"] == [4]
    assert [of.name for of in tmp_path.iterdir()] == [name]
    others = (tmp_path / name).stat().st_mode
    (tmp_path / "plain").touch()
    assert stat.S_IMODE(others) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def _disks() -> Labels:
    rows, columns = np.mgrid[:120, :150]
    labels = np.asarray((rows - 60) ** 2 + (columns - 70) ** 2 < 50**2, np.uint8)
    labels[(rows - 60) ** 2 + (columns - 80) ** 2 < 20**2] = 2
    return labels


def _points(found: Found) -> int:
    return int(shapely.get_num_coordinates(found.polygons).sum())
