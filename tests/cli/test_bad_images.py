"""Images and places that cannot be: one line, exit code 1, nothing half-written, others go on."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from glnet.raster import open_raster
from tests.cli.commands import only_line, run
from tests.inference.pictures import picture
from tests.raster.raster_files import write_tiff

Captured = pytest.CaptureFixture[str]

BAD = {
    "nowhere.tif": "does not exist",
    "text.jpg": "cannot be opened as a picture",
    "empty.png": "is empty (0 bytes)",
    "folder.tif": "is a folder",
    "half.jpg": "half.jpg",
    "half.png": "half.png",
    "half.tif": "half.tif",
    "grey.png": "is read with 1 band, the model takes 3",
    "four.tif": "is read with 4 bands, the model takes 3",
}
"""What lies in the folder `bad`, and what must be said of it."""


def _save(path: Path, pixels: NDArray[np.uint8]) -> None:
    options = {"compression": "tiff_deflate"} if path.suffix == ".tif" else {}
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "text.jpg").write_text("I am no picture.\n" * 20)
    (folder / "empty.png").touch()
    (folder / "folder.tif").mkdir()
    for name in ("half.jpg", "half.png", "half.tif"):
        path = folder / name
        _save(path, picture(150, 150))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    _save(folder / "grey.png", picture(100, 100, bands=1)[:, :, 0])
    write_tiff(folder / "four.tif", np.zeros((4, 100, 100), np.uint8), photometric="minisblack")
    return folder


@pytest.mark.parametrize(("name", "said"), BAD.items())
def test_a_bad_image_costs_one_line_and_leaves_nothing(
    bad: Path, name: str, said: str, model: Path, output: Path, capfd: Captured
) -> None:
    status = run("segment", bad / name, "--model", model, "--output", output / "labels.tif")

    assert status == 1
    line = only_line(capfd)
    assert str(bad / name) in line
    assert said in line
    assert list(output.iterdir()) == []


def test_good_images_among_bad_ones_are_segmented(
    bad: Path, scene: Path, photo: Path, model: Path, output: Path, capfd: Captured
) -> None:
    names = [name for name in BAD if Path(name).stem != "half"]
    images = [photo, *(bad / name for name in names), bad / "half.jpg", scene]

    status = run("segment", *images, "--model", model, "--output", output, "--overlay")

    out, err = capfd.readouterr()
    assert status == 1
    assert err.count("\n") == len(names) + 1
    assert all(line.startswith("glnet: error: ") for line in err.splitlines())
    assert out.count(" megapixels/s") == 2
    assert f"2 segmented, {len(names) + 1} failed:" in out
    assert {path.name for path in output.iterdir()} == {
        *("photo.tif", "photo_overlay.png", "scene.tif", "scene_overlay.png")
    }


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_tiny_images_are_not_bad(
    shape: tuple[int, int], suffix: str, model: Path, tmp_path: Path, output: Path
) -> None:
    image, labels = tmp_path / f"tiny{suffix}", output / f"labels{suffix}"
    _save(image, picture(*shape))

    status = run("segment", image, "--model", model, "--output", labels, "--overlay")

    assert status == 0
    for path in (labels, output / "labels_overlay.png"):
        with open_raster(path) as raster:
            assert (raster.size.height, raster.size.width) == shape


def test_a_folder_that_does_not_exist_is_named(
    photo: Path, model: Path, tmp_path: Path, capfd: Captured
) -> None:
    status = run("segment", photo, "--model", model, "--output", tmp_path / "no" / "labels.tif")

    assert status == 1
    assert f"{tmp_path / 'no'} does not exist" in only_line(capfd)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_closed_to_us_is_named(
    photo: Path, model: Path, output: Path, capfd: Captured
) -> None:
    output.chmod(0o500)

    status = run("segment", photo, "--model", model, "--output", output / "labels.tif")

    output.chmod(0o700)
    assert status == 1
    assert f"{output} is not writable" in only_line(capfd)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder that refuses even root")
def test_a_folder_that_takes_no_files_is_found_out_before_the_work(
    photo: Path, model: Path, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("glnet.inference.scene.predict")

    status = run("segment", photo, "--model", model, "--output", "/proc/labels.tif")

    assert status == 1
    assert "no folder can be made in /proc" in only_line(capfd)


def test_a_name_without_a_known_ending_is_refused(
    photo: Path, model: Path, output: Path, capfd: Captured
) -> None:
    status = run("segment", photo, "--model", model, "--output", output / "labels.jpg")

    assert status == 1
    assert "must end in one of .tif, .tiff, .png" in only_line(capfd)


def test_images_of_one_stem_are_not_written_over_each_other(
    photo: Path, model: Path, output: Path, tmp_path: Path, capfd: Captured
) -> None:
    other = tmp_path / "other" / "photo.png"

    status = run("segment", photo, other, "--model", model, "--output", output)

    assert status == 1
    line = only_line(capfd)
    assert f"{photo} and {other} would both be written to {output / 'photo.tif'}" in line
    assert list(output.iterdir()) == []


@pytest.mark.parametrize("device", ["cuda"])
def test_a_device_that_is_not_there_is_named(
    device: str, photo: Path, model: Path, output: Path, capfd: Captured
) -> None:
    import torch  # noqa: PLC0415

    if torch.cuda.is_available():
        pytest.skip("this machine has it")

    status = run("segment", photo, "--model", model, "--output", output, "--device", device)

    assert status == 1
    assert "finds 0 CUDA GPUs here; choose auto or cpu" in only_line(capfd)
    assert list(output.iterdir()) == []
