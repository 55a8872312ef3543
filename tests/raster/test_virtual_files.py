"""Files that lie in archives and on servers, by GDAL's virtual file systems."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster import open_raster
from tests.raster.raster_files import noise, write_tiff

TILED: dict[str, Any] = {"tiled": True, "blockxsize": 256, "blockysize": 256}
SERVER = Path(__file__).with_name("range_server.py")
WINDOW = Window(300, 300, Size(100, 100))


@contextmanager
def served(folder: Path, how: str, log: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A folder on a server: where it is, and the process, which may be ended early."""
    command = [sys.executable, str(SERVER), str(folder), how, str(log)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield f"/vsicurl/http://127.0.0.1:{int(server.stdout.readline())}", server
        finally:
            server.kill()


@pytest.fixture(autouse=True)
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "served").mkdir()
    write_tiff(tmp_path / "served" / "a.tif", noise(3, 1024, 1024), **TILED)
    return tmp_path / "served"


def test_a_file_in_an_archive(tmp_path: Path, folder: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(folder / "a.tif", "below/a.tif")

    with open_raster(f"/vsizip/{archive}/below/a.tif") as raster:
        assert np.array_equal(raster.read(WINDOW), noise(3, 1024, 1024)[:, *WINDOW.slices])
    for missing in (f"/vsizip/{archive}/b.tif", f"/vsizip/{tmp_path}/b.zip/a.tif", "/vsizip/b"):
        with pytest.raises(RasterError, match="cannot be opened as a picture") as caught:
            open_raster(missing)
        assert "\n" not in str(caught.value)


def test_only_what_is_needed_comes_from_a_server(tmp_path: Path, folder: Path) -> None:
    with (
        served(folder, "ranges", tmp_path / "log") as (place, _),
        open_raster(f"{place}/a.tif") as raster,
    ):
        read = raster.read(WINDOW)

    answers = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    sent = sum(int(count) for path, count in answers if path == "/a.tif")
    assert np.array_equal(read, noise(3, 1024, 1024)[:, *WINDOW.slices])
    assert 0 < sent < (folder / "a.tif").stat().st_size / 4


def test_a_server_that_is_gone_is_one_line(tmp_path: Path, folder: Path) -> None:
    with (
        served(folder, "ranges", tmp_path / "log") as (place, server),
        open_raster(f"{place}/a.tif") as raster,
    ):
        server.kill()
        server.wait()

        with pytest.raises(RasterError, match=r"rows 900\.\..*, or no longer there") as reading:
            raster.read(Window(900, 900, Size(100, 100)))
        with pytest.raises(RasterError, match=r"b\.tif cannot be opened as a picture") as opening:
            open_raster(f"{place}/b.tif")
    for caught in (reading, opening):
        assert "\n" not in str(caught.value)


def test_a_server_without_ranges_is_refused(tmp_path: Path, folder: Path) -> None:
    with (
        served(folder, "plain", tmp_path / "log") as (place, _),
        pytest.raises(RasterError, match="Range downloading not supported") as caught,
    ):
        open_raster(f"{place}/a.tif")
    assert "\n" not in str(caught.value)
