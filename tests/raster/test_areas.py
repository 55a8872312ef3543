import math

import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import xy

from glnet.errors import GeometryError
from glnet.geometry import Size
from glnet.raster import AreaBasis, Georeference, PixelAreas

WGS84 = CRS.from_epsg(4326)
EARTH_M2 = 510_065_621_724_088.44
"""The surface of the WGS 84 ellipsoid, as its tables give it."""


SMALL = Size(3, 4)


def areas_of(crs: CRS | str, transform: Affine, size: Size = SMALL) -> list[float]:
    place = Georeference(CRS.from_user_input(crs), transform)
    areas = PixelAreas(place, size).row_areas(0, size.height)
    assert areas is not None
    return [float(area) for area in areas]


def turned(left: float, top: float, side: float, angle: float) -> Affine:
    """Square pixels, north-up and then turned about the upper left corner."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return Affine(side * cosine, side * sine, left, side * sine, -side * cosine, top)


def geodesic_area(ellipsoid: str, west: float, south: float, side: float) -> float:
    """The area of a cell of longitude and latitude; parallels are drawn as many short geodesics."""
    along = np.linspace(0, side, 2001)
    longitudes = [*(west + along), *(west + side - along)]
    latitudes = [*np.full_like(along, south), *np.full_like(along, south + side)]
    area, _ = pyproj.Geod(ellps=ellipsoid).polygon_area_perimeter(longitudes, latitudes)
    return abs(float(area))


def test_all_cells_of_the_earth_make_its_surface() -> None:
    areas = areas_of("EPSG:4326", Affine(0.5, 0, -180, 0, -0.5, 90), Size(360, 720))

    assert math.isclose(sum(areas) * 720, EARTH_M2, rel_tol=1e-12)


def test_pixels_beyond_the_poles_have_no_area() -> None:
    areas = areas_of("EPSG:4326", Affine(1, 0, -180, 0, -1, 92), Size(184, 360))

    assert areas[:2] == areas[-2:] == [0, 0]
    assert math.isclose(sum(areas) * 360, EARTH_M2, rel_tol=1e-12)


@pytest.mark.parametrize(
    ("crs", "ellipsoid"), [("EPSG:4326", "WGS84"), ("EPSG:4314", "bessel"), ("EPSG:4047", "sphere")]
)
@given(south=st.floats(-89, 88), side=st.sampled_from([1.0, 0.01]))
def test_a_geographic_cell_has_its_geodesic_area(
    crs: str, ellipsoid: str, south: float, side: float
) -> None:
    (area,) = areas_of(crs, Affine(side, 0, 9, 0, -side, south + side), Size(1, 1))

    # EPSG:4047 has another radius than pyproj's "sphere".
    radii = (6371007 / 6370997) ** 2 if ellipsoid == "sphere" else 1
    assert math.isclose(area, radii * geodesic_area(ellipsoid, 9, south, side), rel_tol=1e-6)


def test_cells_of_a_centimetre_keep_their_digits() -> None:
    side = 1e-7
    areas = areas_of("EPSG:4326", Affine(side, 0, 9, 0, -side, 50), Size(1000, 10))

    height = pyproj.Geod(ellps="WGS84").inv(9, 49.9995, 9, 50.0005)[2] / 0.001
    width = pyproj.Geod(ellps="WGS84").inv(9, 50, 9.001, 50)[2] / 0.001
    assert np.allclose(areas, height * width * side**2, rtol=2e-6)
    assert np.ptp(areas) < 1e-5 * areas[0]


def test_units_that_are_not_degrees_are_turned_into_radians() -> None:
    grads = areas_of("EPSG:4807", Affine(0.1, 0, 2, 0, -0.1, 50))
    # Its ellipsoid, in degrees.
    degrees = areas_of(
        "+proj=longlat +a=6378249.2 +rf=293.466021293627", Affine(0.09, 0, 2, 0, -0.09, 45)
    )

    assert np.allclose(grads, degrees, rtol=1e-9)


@pytest.mark.parametrize(
    ("crs", "square_metres"),
    [
        ("EPSG:32633", 0.25),
        ("EPSG:32633+5773", 0.25),
        ("EPSG:2225", 0.25 * (1200 / 3937) ** 2),
    ],
)
@pytest.mark.parametrize("angle", [0, 30, 90])
def test_projected_areas_are_those_of_the_plane_in_metres(
    crs: str, square_metres: float, angle: float
) -> None:
    areas = areas_of(crs, turned(4e5, 5e6, 0.5, angle))

    assert np.allclose(areas, square_metres, rtol=1e-9)


def test_utm_is_true_to_a_fifth_of_a_percent_inside_its_zone() -> None:
    projection = pyproj.Proj("EPSG:32633")

    scales = [
        projection.get_factors(15 + east, north).areal_scale for east in (0, 3) for north in (0, 60)
    ]

    assert max(abs(scale - 1) for scale in scales) < 0.002


@pytest.mark.parametrize("latitude", [0, 45, -60, 84])
def test_web_mercator_areas_are_those_on_the_ellipsoid(latitude: float) -> None:
    project = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform
    side = 0.01
    (left, bottom), (right, top) = project(9, latitude), project(9 + side, latitude + side)

    (area,) = areas_of("EPSG:3857", Affine(right - left, 0, left, 0, bottom - top, top), Size(1, 1))

    assert math.isclose(area, geodesic_area("WGS84", 9, latitude, side), rel_tol=1e-6)


def test_shear_does_not_change_an_area() -> None:
    upright = areas_of("EPSG:4326", Affine(0.1, 0, 9, 0, -0.1, 50))

    assert areas_of("EPSG:4326", Affine(0.1, 0.05, 9, 0, -0.1, 50)) == upright
    assert np.allclose(areas_of("EPSG:4326", Affine(0.1, 0, 9, 0, 0.1, 49.7))[::-1], upright)


@pytest.mark.parametrize("angle", [1, 45, 90, 200])
def test_rotated_geographic_rows_have_about_the_area_of_their_ground(angle: float) -> None:
    side, size = 0.001, Size(60, 80)
    transform = turned(9, 50, side, angle)

    areas = areas_of("EPSG:4326", transform, size)

    corners = ((0, 0), (0, 80), (60, 80), (60, 0))
    places = [xy(transform, row, column, offset="ul") for row, column in corners]
    longitudes, latitudes = zip(*places, strict=True)
    ground, _ = pyproj.Geod(ellps="WGS84").polygon_area_perimeter(longitudes, latitudes)
    assert math.isclose(sum(areas) * 80, abs(ground), rel_tol=1e-4)


def test_parts_of_the_rows_are_parts_of_the_answer() -> None:
    areas = PixelAreas(Georeference(WGS84, Affine(1, 0, 0, 0, -1, 80)), Size(100, 10))
    every, some, none = areas.row_areas(0, 100), areas.row_areas(30, 40), areas.row_areas(5, 5)

    assert every is not None
    assert some is not None
    assert none is not None
    assert np.array_equal(every[30:40], some)
    assert none.shape == (0,)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (2, 1), (0, 4)])
def test_rows_outside_are_refused(start: int, stop: int) -> None:
    areas = PixelAreas(Georeference(), Size(3, 3))

    with pytest.raises(GeometryError, match=rf"in 0\.\.3, got {start}\.\.{stop}"):
        areas.row_areas(start, stop)


@pytest.mark.parametrize(
    "place",
    [
        Georeference(),
        Georeference(crs=WGS84),
        Georeference(transform=Affine(1, 0, 5, 0, -1, 5)),
        Georeference(CRS(), Affine(1, 0, 5, 0, -1, 5)),
        Georeference(gcps=(GroundControlPoint(0, 0, 1, 2),), gcps_crs=WGS84),
        Georeference(CRS.from_epsg(4978), Affine(1, 0, 5, 0, -1, 5)),
        Georeference(CRS.from_wkt('LOCAL_CS["drone",UNIT["metre",1]]'), Affine(1, 0, 5, 0, -1, 5)),
    ],
)
def test_areas_are_not_made_up(place: Georeference) -> None:
    areas = PixelAreas(place, Size(3, 3))

    assert areas.basis is None
    assert areas.row_areas(0, 3) is None


@pytest.mark.parametrize(
    ("epsg", "basis"),
    [
        (4326, AreaBasis.ELLIPSOID),
        (4979, AreaBasis.ELLIPSOID),
        (3857, AreaBasis.ELLIPSOID),
        (32633, AreaBasis.PLANE),
    ],
)
def test_it_is_said_on_what_areas_are_measured(epsg: int, basis: AreaBasis) -> None:
    place = Georeference(CRS.from_epsg(epsg), Affine(1, 0, 5, 0, -1, 5))

    assert PixelAreas(place, Size(3, 3)).basis is basis


def test_pixels_of_a_slide_are_as_large_as_it_says() -> None:
    slide = PixelAreas(Georeference(mpp=0.25), SMALL)

    areas = slide.row_areas(1, 3)

    assert slide.basis is AreaBasis.SLIDE
    assert areas is not None
    assert list(areas * 1e12) == pytest.approx([0.0625] * 2)
