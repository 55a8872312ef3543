"""``glnet view`` as it is called: the address that it prints, Ctrl-C, one line for mistakes."""

import os
import select
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from glnet.raster import write_picture
from tests.cli.commands import only_line, run, start
from tests.inference.pictures import picture

PATIENCE_S = 60

Captured = pytest.CaptureFixture[str]


def printed_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], PATIENCE_S)[0]
    return process.stdout.readline().strip()


def test_the_page_is_there_until_control_c(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As most have it: what is printed into a pipe may wait in a buffer.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    # Programs in the background of a shell are born deaf to it.
    before = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    process = start("view", photo, before=before)
    try:
        url = printed_line(process)
        # Without the cookie, the page that it leads to is not answered.
        with pytest.raises(OSError, match="401"), urlopen(url.split("?")[0]):
            pass
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.communicate()

    assert url.startswith("http://127.0.0.1:")
    assert (out, err) == ("", "")
    assert process.returncode == 0
    assert time.monotonic() - began < 20


def test_control_c_right_after_the_address_ends_it_as_well(
    photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def say(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("glnet.cli.view.say", say)

    assert run("view", photo) == 0

    assert capsys.readouterr() == ("", "")


def test_a_port_in_use_costs_a_line_with_the_next(photo: Path, capsys: Captured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert run("view", photo, "--port", port) == 1

    assert f"port {port} is in use" in only_line(capsys)


def test_an_image_that_is_missing_costs_a_line(tmp_path: Path, capsys: Captured) -> None:
    assert run("view", tmp_path / "missing.tif") == 1

    assert "missing.tif does not exist" in only_line(capsys)


def test_no_image_costs_a_line(capsys: Captured) -> None:
    assert run("view") == 1

    assert "at least one image" in only_line(capsys)


@pytest.mark.parametrize("name", [".", ""])
def test_a_folder_in_place_of_an_image_costs_a_line(name: str, capsys: Captured) -> None:
    assert run("view", name) == 1

    assert f"'{name}' is a folder; name its images, such as '*.tif'" in only_line(capsys)


def test_a_name_that_is_not_in_utf_8_costs_a_line(
    photo: Path, tmp_path: Path, capsys: Captured
) -> None:
    try:
        odd = photo.rename(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.jpg"))
    except OSError:
        pytest.skip("the file system takes names in UTF-8 alone")

    assert run("view", odd) == 1

    assert "the name is not in UTF-8" in only_line(capsys)


def test_a_layer_of_another_size_costs_a_line(
    photo: Path, tmp_path: Path, capsys: Captured
) -> None:
    other = tmp_path / "other.png"
    write_picture(other, picture(20, 30))

    assert run("view", photo, "--truth", other, "--threshold", 3) == 1

    assert "expected the same size" in only_line(capsys)


@pytest.mark.parametrize("text", ["a", "=a", "a="])
def test_a_layer_needs_a_name_and_a_path(text: str, photo: Path, capsys: Captured) -> None:
    assert run("view", photo, "--layer", text) == 1

    assert "--layer takes NAME=PATH" in only_line(capsys)


@pytest.mark.parametrize("names", [["labels"], ["image"], ["before", "before"]])
def test_no_two_layers_have_one_name(names: list[str], photo: Path, capsys: Captured) -> None:
    words = [word for name in names for word in ("--layer", f"{name}={photo}")]

    assert run("view", photo, *words) == 1

    assert f"another layer is called {names[0]} already" in only_line(capsys)


def test_a_model_shows_where_its_patches_lie(model: Path) -> None:
    from glnet.geometry import Size  # noqa: PLC0415
    from glnet.inference.grids import grids_of_model  # noqa: PLC0415

    ((place, grid),) = grids_of_model(model)(Size(110, 140))

    assert place.size == Size(110, 140)
    seen = np.zeros((110, 140), bool)
    for patch in grid:
        seen[patch.slices] = True
    assert seen.all()
