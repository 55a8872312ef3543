import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling

from glnet.errors import OutputError
from glnet.geometry import Size
from glnet.raster import Georeference, LabelWriter
from glnet.raster.writing import output
from glnet.raster.writing.formats import Content, add_overviews, copy_as_png


def test_a_full_disk_is_told_with_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "glnet.raster.writing.output.shutil.disk_usage", lambda _: SimpleNamespace(free=7)
    )

    error = output.write_error(tmp_path / "a.tif", "no room")

    assert str(error).startswith(f"disk full while writing {tmp_path / 'a.tif'}: 7 bytes free")


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOENT, errno.ENOTDIR, errno.EIO])
@pytest.mark.parametrize("free", [0, 1 << 40])
def test_what_is_free_is_not_told_where_it_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, free: int
) -> None:
    monkeypatch.setattr(
        "glnet.raster.writing.output.shutil.disk_usage", lambda _: SimpleNamespace(free=free)
    )

    error = output.write_error(tmp_path / "a.tif", os.strerror(number))

    assert str(error) == f"{tmp_path / 'a.tif'} could not be written whole: {os.strerror(number)}"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_want_of_room_is_told_with_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    folder, reason = tmp_path / "a.unfinished", os.strerror(number)
    for free, expected in (
        (7, f"disk full while writing {folder}: 7 bytes free; make room there"),
        (1 << 40, f"{folder} could not be written whole: {reason}; {1 << 40} bytes free there"),
    ):
        found = SimpleNamespace(free=free)
        monkeypatch.setattr(
            "glnet.raster.writing.output.shutil.disk_usage", lambda _, is_=found: is_
        )

        assert str(output.write_error(folder, reason)) == expected
        assert str(output.folder_error(folder, OSError(number, reason))) == expected


def test_a_folder_that_cannot_be_made_is_told_with_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder, expected in (
        (tmp_path / "gone" / "a", f"the folder {tmp_path / 'gone'} does not exist; create it"),
        (file / "a", f"{file} is no folder, so there can be none in it; name a folder"),
        (file, f"{file} is no folder, but one is needed there; move it away"),
    ):
        with pytest.raises(OSError) as raised:  # noqa: PT011 - what it says is the system's
            folder.mkdir(exist_ok=True)

        assert str(output.folder_error(folder, raised.value)).startswith(expected)
    # As /proc says it.
    error = output.folder_error(tmp_path / "a", OSError(errno.ENOENT, "No such file"))
    assert str(error) == f"no folder can be made in {tmp_path} (No such file); choose another place"


def test_a_file_that_holds_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LabelWriter, "_opened", lambda _: _Forgetful())

    with pytest.raises(OutputError, match="does not hold what was written"):
        _write(tmp_path / "a.tif", np.ones((4, 4), dtype=np.uint8))

    assert list(tmp_path.iterdir()) == []


def _write(path: Path, labels: NDArray[np.uint8], **options: Any) -> None:  # noqa: ANN401
    with LabelWriter(path, Size(*labels.shape), **options) as writer:
        writer.write(labels)


class _Forgetful:
    def write(self, *_: object, **__: object) -> None:
        pass


@pytest.mark.parametrize("cog", [False, True])
def test_an_overview_that_is_cut_short_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cog: bool
) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (1200, 900), dtype=np.uint8)

    def cut(path: Path, *_: object) -> None:
        add_overviews(path, Size(1200, 900), Content(resampling=Resampling.mode))
        with path.open("rb+") as file:
            file.truncate(path.stat().st_size - 500)

    monkeypatch.setattr("glnet.raster.writing.tile_writer.add_overviews", cut)

    with pytest.raises(OutputError, match="could not be written whole"):
        _write(tmp_path / "a.tif", labels, cog=cog)

    assert list(tmp_path.iterdir()) == []


def test_overviews_that_are_missing_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glnet.raster.writing.tile_writer.add_overviews", lambda *_: None)

    with pytest.raises(OutputError, match="it lacks overviews"):
        _write(tmp_path / "a.tif", np.zeros((600, 600), dtype=np.uint8))


def test_tiles_of_an_overview_that_are_missing_are_noticed(tmp_path: Path) -> None:
    # GDAL leaves empty tiles out if it is told to, and reads zeros where there are none.
    with (
        rasterio.Env(SPARSE_OK_OVERVIEW="ON"),
        pytest.raises(OutputError, match="an overview is cut short"),
    ):
        _write(tmp_path / "a.tif", np.zeros((600, 600), dtype=np.uint8))


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
@pytest.mark.parametrize(
    ("rest", "message"), [(b"", "beside it is cut short"), (None, "lost its place on Earth")]
)
def test_a_sidecar_that_is_lost_or_cut_short_is_noticed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    rest: bytes | None,
    message: str,
) -> None:
    # GDAL cannot put a turned pole into a GeoTIFF.
    pole = "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=32.5 +lon_0=18 +R=6371229 +no_defs"
    place = Georeference(CRS.from_string(pole), Affine(0.1, 0, 5, 0, -0.1, 9))

    def lose(path: Path, _: object) -> None:
        sidecar = output.sidecar_of(path, ".aux.xml")
        assert sidecar.exists()
        if rest is None:
            sidecar.unlink()
        else:
            sidecar.write_bytes(rest)

    monkeypatch.setattr("glnet.raster.writing.tile_writer.add_category_names", lose)

    with pytest.raises(OutputError, match=message):
        _write(
            tmp_path / name,
            np.zeros((60, 60), dtype=np.uint8),
            georeference=place,
            class_names=["a"],
            names_beside=True,
        )

    assert list(tmp_path.iterdir()) == []


def test_a_png_that_is_cut_short_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(geotiff: Path, png: Path) -> None:
        copy_as_png(geotiff, png)
        with png.open("rb+") as file:
            file.truncate(png.stat().st_size - 12)

    monkeypatch.setattr("glnet.raster.writing.tile_writer.copy_as_png", cut)

    with pytest.raises(OutputError, match="the file is cut short"):
        _write(tmp_path / "a.png", np.zeros((60, 60), dtype=np.uint8))


LIMITED_WRITING = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from glnet.errors import OutputError
from glnet.geometry import Size
from glnet.raster import LabelWriter, ScoreWriter

labels = np.random.default_rng(0).integers(0, 7, (1200, 700), dtype=np.uint8)
scores = np.random.default_rng(0).random((3, 600, 400), dtype=np.float32)

def write(path):
    cog = "cog" in path.stem
    if "scores" in path.stem:
        with ScoreWriter(path, Size(600, 400), None, "abc", cog=cog) as writer:
            writer.write(scores)
    else:
        with LabelWriter(
            path, Size(1200, 700), class_names=("a", "b"), cog=cog, names_beside=True
        ) as writer:
            writer.write(labels)

def write_limited(path, limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
write(path)
size = path.stat().st_size
for file in path.parent.iterdir():
    file.unlink()
for limit in (0, 100, size // 2, size * 3 // 4, size * 7 // 8, size - 3000, size - 200, size - 1):
    try:
        write_limited(path, limit)
    except OutputError as error:
        assert "could not be written whole" in str(error) or "disk full" in str(error), error
    else:
        raise SystemExit(f"{limit} of {size} bytes went unnoticed")
    assert not list(path.parent.iterdir()), list(path.parent.iterdir())
"""


@pytest.mark.parametrize(
    "name", ["labels.tif", "labels_cog.tif", "labels.png", "scores.tif", "scores_cog.tif"]
)
def test_a_disk_that_fills_up_at_any_moment_is_noticed(tmp_path: Path, name: str) -> None:
    pytest.importorskip("resource", reason="file sizes cannot be limited here")

    command = [sys.executable, "-W", "error", "-c", LIMITED_WRITING, str(tmp_path / name)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
