"""What label maps and scores become on disk: overviews, COGs, BigTIFFs, and who can read them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
import tifffile
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC
from rio_cogeo.cogeo import cog_validate

from glnet.errors import OutputError
from glnet.geometry import Size
from glnet.raster import Georeference, LabelWriter, Palette, ScoreWriter, open_raster
from glnet.raster.gdal import gdal_settings
from glnet.raster.writing.formats import BIGTIFF, overview_factors

COLORS = [(0, 0, 0), (250, 10, 20), (0, 200, 0)]
NAMES = ["soil", "crop", "Unkräuter & <mehr>"]

UTM = CRS.from_epsg(32633)
NORTH_UP = Affine(0.5, 0, 4e5, 0, -0.5, 5e6)
ROTATED_POLE = CRS.from_string(
    "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=32.5 +lon_0=18 +R=6371229 +no_defs"
)
"""One of the few that GDAL cannot put into a GeoTIFF."""

RPCS = RPC(
    **{"height_off": 100.0, "height_scale": 500.0, "lat_off": 50.0, "lat_scale": 0.1},
    **{"long_off": 15.0, "long_scale": 0.1, "line_off": 300.0, "line_scale": 350.0},
    **{"samp_off": 350.0, "samp_scale": 300.0, "err_bias": 1.5, "err_rand": 0.25},
    line_num_coeff=[0.125, 0.0, -1.0, *[0.0] * 17],
    line_den_coeff=[1.0, *[0.0] * 19],
    samp_num_coeff=[0.0, 1.0, 0.5, *[0.0] * 17],
    samp_den_coeff=[1.0, 0.001, *[0.0] * 18],
)

PLACES = {
    "nowhere": Georeference(),
    "north-up": Georeference(UTM, NORTH_UP),
    "rotated": Georeference(UTM, Affine(0.4, 0.3, 4e5, 0.3, -0.4, 5e6)),
    "samples": Georeference(UTM, NORTH_UP, is_point=True),
    "polynomials": Georeference(rpcs=RPCS),
    "no CRS": Georeference(None, NORTH_UP),
    "no transform": Georeference(UTM, None),
    "rotated pole": Georeference(ROTATED_POLE, Affine(0.1, 0, 5, 0, -0.1, 9)),
    "points": Georeference(
        gcps=tuple(
            GroundControlPoint(row, column, column + 5.0, -row, id=str(row + column))
            for row, column in ((0, 0), (0, 9), (5, 9))
        ),
        gcps_crs=CRS.from_epsg(4326),
    ),
}

LIKEWISE = ("rotated", "points", "samples", "polynomials")

needs_gdalinfo = pytest.mark.skipif(
    shutil.which("gdalinfo") is None, reason="gdalinfo is not installed"
)


def random_labels(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height).integers(0, 3, (height, width), dtype=np.uint8)


def write_labels(path: Path, labels: NDArray[np.uint8], **options: Any) -> Path:  # noqa: ANN401
    with LabelWriter(path, Size(*labels.shape), **options) as writer:
        writer.write(labels)
    return path


def write_scores(path: Path, scores: NDArray[np.float32], **options: Any) -> Path:  # noqa: ANN401
    bands, height, width = scores.shape
    names = [f"class {band}" for band in range(bands)]
    with ScoreWriter(path, Size(height, width), band_names=names, **options) as writer:
        writer.write(scores)
    return path


def overview(path: Path, level: int) -> NDArray[Any]:
    with gdal_settings(), rasterio.open(path, overview_level=level) as file:
        return np.asarray(file.read())


def gdalinfo(path: Path) -> dict[str, Any]:
    done = subprocess.run(["gdalinfo", "-json", path], capture_output=True, check=True)
    return dict(json.loads(done.stdout))


@given(st.integers(1, 100_000), st.integers(1, 100_000), st.sampled_from([128, 256, 512]))
def test_overviews_shrink_by_two_until_one_fits_into_a_tile(
    height: int, width: int, tile: int
) -> None:
    factors = overview_factors(Size(height, width), tile)

    longest = max(height, width)
    assert factors == [2 ** (level + 1) for level in range(len(factors))]
    assert longest <= tile * 2 ** len(factors)
    assert all(longest > tile * factor // 2 for factor in factors)


@pytest.mark.parametrize("cog", [False, True])
def test_overviews_of_labels_hold_the_label_met_most_often(tmp_path: Path, cog: bool) -> None:
    labels = np.zeros((1100, 600), dtype=np.uint8)
    labels[::2] = 5
    labels[::2, ::2] = 0
    labels[:, 300:] = np.tile(np.array([[2, 9], [9, 2]], dtype=np.uint8), (550, 150))
    labels[1::2, 300::2] = 2

    path = write_labels(tmp_path / "a.tif", labels, cog=cog)

    assert set(np.unique(overview(path, 0))) == {0, 2}
    assert np.all(overview(path, 0)[0, :, :150] == 0)
    assert np.all(overview(path, 0)[0, :, 150:] == 2)


def test_overviews_of_labels_count_nodata_only_where_nothing_else_is(tmp_path: Path) -> None:
    labels = np.full((600, 600), 255, dtype=np.uint8)
    labels[::2, ::2] = 3
    labels[:100] = 255

    path = write_labels(tmp_path / "a.tif", labels, nodata=255)

    assert np.all(overview(path, 0)[0, :50] == 255)
    assert np.all(overview(path, 0)[0, 50:] == 3)


def test_overviews_of_scores_hold_the_mean_of_what_is_there(tmp_path: Path) -> None:
    scores = np.zeros((2, 600, 600), dtype=np.float32)
    scores[:, ::2] = 0.5
    scores[1, :, 1::2] = np.nan
    scores[1, ::2, ::2] = 1

    path = write_scores(tmp_path / "a.tif", scores)

    first, second = overview(path, 0)
    assert np.all(abs(first - 63.5) <= 0.5)
    assert np.all(second == 127)


@pytest.mark.parametrize("cog", [False, True])
@pytest.mark.parametrize(
    ("bands", "size", "tile"),
    [(1, (513, 70), 512), (1, (512, 512), 512), (3, (300, 700), 256), (9, (100, 200), 128)],
)
def test_tiles_and_overviews_fit_each_other(
    tmp_path: Path, cog: bool, bands: int, size: tuple[int, int], tile: int
) -> None:
    path = write_scores(tmp_path / "a.tif", np.zeros((bands, *size), dtype=np.float32), cog=cog)

    with gdal_settings(), rasterio.open(path) as file:
        assert set(file.block_shapes) == {(tile, tile)}
        assert [len(file.overviews(band)) for band in file.indexes] == [
            len(overview_factors(Size(*size), tile))
        ] * bands
    for level in range(len(overview_factors(Size(*size), tile))):
        with gdal_settings(), rasterio.open(path, overview_level=level) as file:
            assert set(file.block_shapes) == {(tile, tile)}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("name", ["a.tif", "cog.tif", "a.png"])
def test_place_names_colours_and_nodata_are_carried_over(
    tmp_path: Path, name: str, place: Georeference
) -> None:
    path = write_labels(
        tmp_path / name,
        random_labels(700, 600),
        georeference=place,
        colors=COLORS,
        class_names=NAMES,
        nodata=255,
        cog=name == "cog.tif",
        names_beside=True,
    )

    with open_raster(path, Palette.KEEP) as raster:
        stored = raster.georeference
        assert stored.crs == place.crs
        assert stored.transform == place.transform
        assert stored.gcps_crs == place.gcps_crs
        assert stored.rpcs == place.rpcs
        assert stored.is_point == place.is_point
        assert [vars_of(point) for point in stored.gcps] == [vars_of(p) for p in place.gcps]
        assert raster.nodata == 255
        assert raster.palette is not None
        assert [raster.palette[label] for label in range(3)] == COLORS
    with gdal_settings(), rasterio.open(path) as file:
        assert json.loads(file.tags()["GLNET_CLASSES"]) == NAMES
        assert [file.colormap(1)[label][3] for label in (0, 2, 255)] == [255, 255, 0]


def vars_of(point: GroundControlPoint) -> tuple[float, ...]:
    return point.row, point.col, point.x, point.y


@pytest.mark.parametrize("cog", [False, True])
@pytest.mark.parametrize("place", [PLACES[name] for name in LIKEWISE], ids=LIKEWISE)
def test_scores_are_carried_over_likewise(tmp_path: Path, cog: bool, place: Georeference) -> None:
    scores = np.random.default_rng(0).random((4, 300, 280), dtype=np.float32)

    path = write_scores(tmp_path / "a.tif", scores, georeference=place, cog=cog)

    with open_raster(path) as raster:
        assert raster.bands == 4
        assert raster.georeference.transform == place.transform
        assert len(raster.georeference.gcps) == len(place.gcps)
        assert raster.georeference.rpcs == place.rpcs
        assert raster.georeference.is_point == place.is_point
        assert raster.nodata == 255
    with gdal_settings(), rasterio.open(path) as file:
        assert file.descriptions == ("class 0", "class 1", "class 2", "class 3")
        assert file.scales == (1 / 254,) * 4
        assert file.offsets == (0,) * 4
        assert np.abs(file.read() / 254 - scores).max() <= 0.5001 / 254


@pytest.mark.parametrize("size", [(20, 30), (512, 512), (1500, 700), (600, 2100)])
@pytest.mark.parametrize("bands", [0, 1, 3, 4])
def test_a_cog_is_a_valid_one(tmp_path: Path, bands: int, size: tuple[int, int]) -> None:
    path = tmp_path / "a.tif"
    if bands:
        write_scores(path, np.zeros((bands, *size), dtype=np.float32), cog=True)
    else:
        labels = random_labels(*size)
        write_labels(path, labels, georeference=PLACES["north-up"], colors=COLORS, cog=True)

    with gdal_settings():
        assert cog_validate(path, strict=True, quiet=True) == (True, [], [])
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


def test_a_plain_geotiff_is_no_cog(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "a.tif", random_labels(900, 900))

    with gdal_settings():
        is_valid, _, _ = cog_validate(path, quiet=True)
    assert not is_valid


@pytest.mark.parametrize("cog", [False, True])
def test_another_library_reads_the_same_pixels(tmp_path: Path, cog: bool) -> None:
    labels = random_labels(1100, 900)
    scores = np.random.default_rng(0).random((3, 500, 300), dtype=np.float32)

    write_labels(tmp_path / "labels.tif", labels, cog=cog)
    write_scores(tmp_path / "scores.tif", scores, cog=cog)

    assert np.array_equal(tifffile.imread(tmp_path / "labels.tif"), labels)
    stored = tifffile.imread(tmp_path / "scores.tif")
    assert np.array_equal(stored, np.rint(scores * 254).transpose(1, 2, 0))


def test_a_png_cannot_be_a_cog(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"Cloud Optimized GeoTIFF must end in \.tif or \.tiff"):
        LabelWriter(tmp_path / "a.png", Size(4, 4), cog=True)


@pytest.mark.parametrize("colors", [(), COLORS])
def test_the_nodata_label_of_a_png_is_transparent(
    tmp_path: Path, colors: list[tuple[int, int, int]]
) -> None:
    labels = np.array([[0, 1, 2, 255]], dtype=np.uint8)

    path = write_labels(tmp_path / "a.png", labels, colors=colors, nodata=255)

    with Image.open(path) as picture:
        assert np.asarray(picture.convert("RGBA"))[0, :, 3].tolist() == [255, 255, 255, 0]
        assert np.array_equal(np.asarray(picture), labels)


def test_a_class_that_is_nodata_is_transparent(tmp_path: Path) -> None:
    labels = np.array([[0, 1, 2]], dtype=np.uint8)

    path = write_labels(tmp_path / "a.png", labels, colors=COLORS, nodata=1)

    with Image.open(path) as picture:
        assert np.asarray(picture.convert("RGBA"))[0, :, 3].tolist() == [255, 0, 255]


@pytest.mark.parametrize(
    ("name", "has_names"), [("a.tif", False), ("b.tif", True), ("a.png", True)]
)
def test_class_names_lie_beside_the_file_where_asked_for(
    tmp_path: Path, name: str, has_names: bool
) -> None:
    path = write_labels(
        tmp_path / name, random_labels(30, 20), class_names=NAMES, names_beside=name == "b.tif"
    )

    sidecar = tmp_path / f"{name}.aux.xml"
    assert sidecar.exists() is has_names
    if has_names:
        categories = ElementTree.parse(sidecar).findall("PAMRasterBand/CategoryNames/Category")
        assert [category.text for category in categories] == NAMES
    assert {file.name for file in tmp_path.iterdir()} <= {path.name, sidecar.name}


@needs_gdalinfo
@pytest.mark.parametrize("name", ["a.tif", "cog.tif", "a.png"])
def test_gdalinfo_sees_the_classes(tmp_path: Path, name: str) -> None:
    path = write_labels(
        tmp_path / name,
        random_labels(700, 600),
        georeference=PLACES["rotated pole"],
        colors=COLORS,
        class_names=NAMES,
        nodata=255,
        cog=name == "cog.tif",
        names_beside=True,
    )

    seen = gdalinfo(path)

    (band,) = seen["bands"]
    assert band["noDataValue"] == 255
    assert band["colorTable"]["entries"][1] == [250, 10, 20, 255]
    assert "Oblique" in seen["coordinateSystem"]["wkt"] or "o_proj" in json.dumps(seen)
    # Its JSON leaves categories out.
    text = subprocess.run(["gdalinfo", path], capture_output=True, text=True, check=True).stdout
    assert "Categories:\n      0: soil\n      1: crop\n      2: Unkräuter & <mehr>\n" in text


@needs_gdalinfo
@pytest.mark.parametrize("cog", [False, True])
def test_gdalinfo_sees_probabilities(tmp_path: Path, cog: bool) -> None:
    path = write_scores(tmp_path / "a.tif", np.ones((3, 600, 600), dtype=np.float32), cog=cog)

    bands = gdalinfo(path)["bands"]

    assert [band["description"] for band in bands] == ["class 0", "class 1", "class 2"]
    assert [band["scale"] for band in bands] == [pytest.approx(1 / 254)] * 3
    assert [band["noDataValue"] for band in bands] == [255] * 3
    assert [band["colorInterpretation"] for band in bands] == ["Gray", "Undefined", "Undefined"]
    assert [overview["size"] for overview in bands[0]["overviews"]] == [[300, 300], [150, 150]]


@pytest.mark.parametrize("cog", [False, True])
@pytest.mark.parametrize(("setting", "start"), [("YES", b"II+\0"), (BIGTIFF, b"II*\0")])
def test_large_files_are_bigtiffs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cog: bool, setting: str, start: bytes
) -> None:
    monkeypatch.setattr("glnet.raster.writing.formats.BIGTIFF", setting)

    path = write_labels(tmp_path / "a.tif", random_labels(600, 600), cog=cog)

    assert path.read_bytes()[:4] == start
    with gdal_settings(), rasterio.open(path) as file:
        assert len(file.overviews(1)) == 1


@pytest.mark.parametrize(("rows", "start"), [(39_000, b"II*\0"), (41_000, b"II+\0")])
def test_a_file_is_large_long_before_it_reaches_four_gibibytes(
    tmp_path: Path, rows: int, start: bytes
) -> None:
    path, pixels = tmp_path / "a.tif", rows * 50_000
    options = {"tiled": True, "compress": "DEFLATE", "bigtiff": BIGTIFF, "sparse_ok": True}

    with (
        gdal_settings(),
        rasterio.open(path, "w", "GTiff", 50_000, rows, 1, dtype="uint8", **options),
    ):
        pass

    assert path.read_bytes()[:4] == start
    # Overviews, and a hundredth for what does not shrink and for the places of tiles.
    assert (start == b"II+\0") or pixels * 4 / 3 * 1.01 < 2**32


PEAK_OF_WRITING = """
import sys
from pathlib import Path
import numpy as np
from glnet.geometry import Size
from glnet.raster import LabelWriter, ScoreWriter

rows, cog, folder = int(sys.argv[1]), sys.argv[2] == "cog", Path(sys.argv[3])
labels = np.indices((512, 2048), dtype=np.uint8).sum(0, dtype=np.uint8) // 50
scores = np.broadcast_to(np.float32(np.linspace(0, 1, 1024)), (3, 64, 1024))
with LabelWriter(folder / "a.tif", Size(rows, 2048), nodata=255, cog=cog) as writer:
    for _ in range(rows // 512):
        writer.write(labels)
with ScoreWriter(folder / "b.tif", Size(rows // 2, 1024), None, "abc", cog=cog) as writer:
    for _ in range(rows // 128):
        writer.write(scores)
peak, = (line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
print(peak.split()[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is not told here")
@pytest.mark.parametrize("form", ["plain", "cog"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, form: str) -> None:
    def peak_kib(rows: int) -> int:
        folder = tmp_path / str(rows)
        folder.mkdir()
        command = [sys.executable, "-c", PEAK_OF_WRITING, str(rows), form, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stdout)

    small, large = peak_kib(1 << 14), peak_kib(1 << 15)

    # 32 MiB more of labels, and 24 of scores.
    assert large - small < 8 * 1024
