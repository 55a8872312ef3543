"""``glnet segment`` on what files are like: masks, bands, damage, odd shapes, and full disks."""

import json
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint

from glnet.inference import journal, result_files, scene
from tests.cli.commands import only_line, run
from tests.inference.pictures import picture
from tests.raster.raster_files import write_tiff

Captured = pytest.CaptureFixture[str]

SHEARED = Affine(0.5, 0.2, 400000, 0.1, -0.5, 5000000)


def _bands(height: int, width: int, bands: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    return np.moveaxis(picture(height, width, bands, seed=seed), 2, 0).clip(1)


def _segment(image: Path, model: Path, output: Path, *options: object) -> int:
    return run("segment", image, "--model", model, "--output", output, *options)


def test_everything_that_can_be_asked_for_is_there(
    scene: Path, model: Path, output: Path, capfd: Captured
) -> None:
    wishes = ("--overlay", "--confidence", "--probabilities", "--cog", "--json")

    status = _segment(scene, model, output / "a.tif", *wishes, "--vector", output / "b.gpkg")

    (report,) = json.loads(capfd.readouterr().out)["reports"]
    assert status == 0
    assert {of.name for of in output.iterdir()} == {
        *("a.tif", "a_overlay.png", "a_confidence.tif", "a_probabilities.tif", "b.gpkg")
    }
    assert report["vector"] == str(output / "b.gpkg")
    assert sum(of["pixels"] for of in report["classes"]) == 110 * 140
    areas = [of["square_metres"] for of in report["classes"]]
    assert sum(areas) == pytest.approx(110 * 140 / 4)
    assert report["area_basis"] == "on the plane of the map"


def test_polygons_cover_the_classes_and_lie_where_the_image_does(
    scene: Path, model: Path, output: Path, capfd: Captured
) -> None:
    assert _segment(scene, model, output / "a.tif", "--vector", ".gpkg", "--json") == 0

    import pyogrio  # noqa: PLC0415 - slow to load

    (report,) = json.loads(capfd.readouterr().out)["reports"]
    meta, _, shapes, fields = pyogrio.raw.read(output / "a.gpkg")
    sums: dict[str, float] = {}
    names = fields[list(meta["fields"]).index("name")]
    for name, area in zip(names, shapely.area(shapely.from_wkb(shapes)), strict=True):
        sums[name] = sums.get(name, 0) + area
    expected = {of["name"]: of["square_metres"] for of in report["classes"] if of["pixels"]}
    assert sums == pytest.approx(expected)
    assert meta["crs"] == "EPSG:32633"


def test_confidence_changes_no_label(scene: Path, model: Path, output: Path) -> None:
    _segment(scene, model, output / "a.tif")
    _segment(scene, model, output / "b.tif", "--confidence", "--probabilities")

    assert (output / "a.tif").read_bytes() == (output / "b.tif").read_bytes()


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        ({"transform": SHEARED, "crs": "EPSG:32633"}, {"transform": SHEARED}),
        ({"transform": SHEARED}, {"transform": SHEARED, "crs": None}),
        (
            {"gcps": [GroundControlPoint(r, c, c / 2, -r) for r in (0, 9) for c in (0, 9)]},
            {"transform": Affine.identity()},
        ),
    ],
)
def test_the_place_on_earth_is_carried_over(
    place: dict[str, object], kept: dict[str, object], model: Path, tmp_path: Path, output: Path
) -> None:
    more = {"crs": "EPSG:4326"} if "gcps" in place else {}
    image = write_tiff(tmp_path / "a.tif", _bands(70, 80), **place, **more)

    assert _segment(image, model, output / "b.tif") == 0

    with rasterio.open(output / "b.tif") as found, rasterio.open(image) as given:
        assert (found.crs, found.transform) == (given.crs, given.transform)
        assert all(getattr(found, name) == value for name, value in kept.items())
        assert len(found.gcps[0]) == len(given.gcps[0])


def test_bands_are_chosen_in_an_order(model: Path, tmp_path: Path, output: Path) -> None:
    pixels = _bands(70, 80)
    image = write_tiff(tmp_path / "a.tif", pixels, transform=SHEARED)
    mixed = np.stack([_bands(70, 80, 1, seed=5)[0], pixels[2], pixels[1], pixels[0]])
    other = write_tiff(tmp_path / "b.tif", mixed, transform=SHEARED)

    assert _segment(image, model, output / "a.tif") == 0
    assert _segment(other, model, output / "b.tif", "--bands", "4,3,2") == 0

    assert (output / "a.tif").read_bytes() == (output / "b.tif").read_bytes()


@pytest.mark.parametrize(
    ("bands", "word"), [("4,3,9", "9"), ("1,2", "bands"), ("0,1,2", "from 1"), ("red", "4,3,2")]
)
def test_bands_that_are_not_there_cost_a_line(
    bands: str, word: str, scene: Path, model: Path, output: Path, capsys: Captured
) -> None:
    assert _segment(scene, model, output / "a.tif", "--bands", bands) != 0

    assert word in only_line(capsys)
    assert list(output.iterdir()) == []


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A tiled file with a block in its middle overwritten."""
    path = write_tiff(
        tmp_path / "damaged.tif",
        _bands(256, 256),
        transform=SHEARED,
        tiled=True,
        blockxsize=64,
        blockysize=64,
        compress="lzw",
    )
    with rasterio.open(path) as file:
        place = int(file.get_tag_item("BLOCK_OFFSET_1_2", dm="TIFF", bidx=1))
        size = int(file.get_tag_item("BLOCK_SIZE_1_2", dm="TIFF", bidx=1))
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * size)
    return path


def test_a_damaged_block_stops_the_image_and_is_named(
    damaged: Path, model: Path, output: Path, capsys: Captured
) -> None:
    assert _segment(damaged, model, output / "a.tif") == 1

    line = only_line(capsys)
    assert "cannot be read at rows" in line
    assert list(output.iterdir()) == []


def test_a_damaged_block_becomes_nodata_where_that_is_asked_for(
    damaged: Path, model: Path, output: Path, capfd: Captured
) -> None:
    assert _segment(damaged, model, output / "a.tif", "--on-error", "nodata") == 0

    with rasterio.open(output / "a.tif") as file:
        lost = file.read(1) == file.nodata
    assert lost[128:192, 64:128].all()
    assert lost.sum() <= 128 * 128  # Small blocks are lost several at a time.
    assert "could not be read" in capfd.readouterr().out


@pytest.mark.parametrize("shape", [(1, 30_000), (30_000, 1)])
def test_one_huge_side(shape: tuple[int, int], model: Path, tmp_path: Path, output: Path) -> None:
    image = write_tiff(tmp_path / "a.tif", _bands(*shape), transform=SHEARED)

    assert _segment(image, model, output / "b.tif", "--patch-batch", "32") == 0

    with rasterio.open(output / "b.tif") as file:
        assert file.shape == shape


def test_too_little_room_is_told_before_the_work(
    scene: Path,
    model: Path,
    output: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 1000))
    monkeypatch.delattr(f"{scene_module}.predict")

    assert _segment(scene, model, output / "a.tif") == 1

    assert "of scratch space" in only_line(capsys)
    assert list(output.iterdir()) == []


scene_module, writing_module = scene.__name__, result_files.__name__


def test_a_run_that_was_stopped_is_resumed_by_an_option(
    scene: Path, model: Path, output: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SECONDS_BETWEEN_NOTES", 0)
    _segment(scene, model, output / "whole.tif")
    path = f"{writing_module}.LabelWriter.write_window"
    with monkeypatch.context() as patch:
        patch.setattr(path, _interrupt)
        assert _segment(scene, model, output / "a.tif") == 1
    assert {of.name for of in output.iterdir()} == {"whole.tif", "a.tif.unfinished"}

    capsys.readouterr()
    assert _segment(scene, model, output / "a.tif") == 1
    assert "go on with --resume" in only_line(capsys)
    assert _segment(scene, model, output / "a.tif", "--resume") == 0

    assert {of.name for of in output.iterdir()} == {"whole.tif", "a.tif"}
    assert (output / "a.tif").read_bytes() == (output / "whole.tif").read_bytes()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "options",
    [
        ("--vector", "a.shp"),
        ("--simplify", "1"),
        ("--vector", ".gpkg", "--simplify", "-1"),
        ("--vector", ".gpkg", "--simplify", "nan"),
        ("--context", "half"),
        ("--region-size", "0"),
        ("--blending", "soft"),
        ("--level", "-1"),
        ("--mpp", "0"),
        ("--level", "0", "--mpp", "1"),
        ("--on-error", "guess"),
        ("--cog", "--output", "a.png"),
    ],
)
def test_options_that_make_no_sense_cost_a_line(
    options: tuple[str, ...], scene: Path, model: Path, output: Path, capsys: Captured
) -> None:
    assert _segment(scene, model, output / "a.tif", *options) != 0

    assert only_line(capsys)
    assert list(output.iterdir()) == []
