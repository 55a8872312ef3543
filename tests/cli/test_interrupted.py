"""A full disk, and Ctrl-C in the middle: nothing half-written is left."""

import signal
import time
from pathlib import Path

import pytest

from glnet.model.checkpoint import save_model
from glnet.raster import write_picture
from tests.cli.commands import files_of_at_most, only_line, run, start
from tests.inference.pictures import picture
from tests.model.tiny import tiny_model

Captured = pytest.CaptureFixture[str]

PATIENCE_S = 100


@pytest.mark.parametrize("room", [0, 100, 2000])
def test_labels_that_find_no_room_leave_nothing(
    room: int, scene: Path, output: Path, tmp_path: Path, capsys: Captured
) -> None:
    model = tmp_path / "model"
    save_model(tiny_model("global only"), model)

    with files_of_at_most(room):
        status = run("segment", scene, "--model", model, "--output", output / "labels.tif")

    assert status == 1
    assert "labels.tif" in only_line(capsys)
    assert list(output.iterdir()) == []


def test_scores_that_find_no_room_leave_nothing(
    scene: Path, model: Path, output: Path, capsys: Captured
) -> None:
    with files_of_at_most(10_000):
        status = run("segment", scene, "--model", model, "--output", output / "labels.tif")

    assert status == 1
    assert "cannot make a scratch file" in only_line(capsys)
    assert list(output.iterdir()) == []


def test_an_overlay_that_finds_no_room_leaves_the_labels_whole(
    scene: Path, output: Path, tmp_path: Path, capsys: Captured
) -> None:
    # Its scores take less room than the picture.
    model = tmp_path / "model"
    save_model(tiny_model("global only"), model)

    with files_of_at_most(25_000):
        status = run("segment", scene, "--model", model, "--output", output, "--overlay")

    assert status == 1
    assert "scene_overlay.png" in only_line(capsys)
    assert [path.name for path in output.iterdir()] == ["scene.tif"]


def test_ctrl_c_in_the_middle_leaves_nothing(model: Path, tmp_path: Path, output: Path) -> None:
    image = tmp_path / "large.png"
    write_picture(image, picture(1500, 2000))
    # As at a terminal, even where these tests run in the background.
    before = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    words = ("segment", image, "--model", model, "--output", output / "labels.tif", "--overlay")

    process = start(*words, before=before)
    _wait_for_any_file(output)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, out) == (1, "")
    assert err.startswith("glnet: interrupted")
    assert err.count("\n") == 1
    assert list(output.iterdir()) == []


def _wait_for_any_file(folder: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while not any(folder.iterdir()):
        assert time.monotonic() < end, "the work has not begun"
        time.sleep(0.01)
