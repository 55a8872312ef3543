"""``glnet segment``: what it writes and prints."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray

import glnet
from glnet.geometry import Size, Window
from glnet.inference.turns import Turns
from glnet.model.checkpoint import load_model, save_model
from glnet.raster import open_raster
from tests.cli.commands import only_line, run
from tests.model.tiny import tiny_model
from tests.raster.slide_files import drawn, write_svs

Captured = pytest.CaptureFixture[str]

_WAYS: tuple[Turns, Turns] = ("none", "all")


def _labels(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as file:
        labels: NDArray[np.uint8] = file.read(1)
    return labels


def test_one_image_becomes_one_file_of_the_python_labels(
    scene: Path, model: Path, output: Path, capfd: Captured
) -> None:
    path = output / "labels.tif"

    status = run("segment", scene, "--model", model, "--output", path, "--device", "cpu")

    out, err = capfd.readouterr()
    assert (status, err) == (0, "")
    assert np.array_equal(_labels(path), glnet.segment(scene, model, device="cpu"))
    assert out.startswith(f"{path}: 110x140,")
    assert all(word in out for word in (" s, ", "megapixels/s", "peak memory"))
    shares = [line for line in out.splitlines() if line.endswith(" m2")]
    assert len(shares) == len(load_model(model).config.classes)
    assert max(len(line) for line in out.splitlines() if str(path) not in line) <= 80
    assert list(output.iterdir()) == [path]


def test_classes_of_a_slide_are_counted_in_square_millimetres(
    tmp_path: Path, model: Path, output: Path, capfd: Captured
) -> None:
    write_svs(tmp_path / "a.svs", drawn(320, 400), mpp=50)
    path = output / "labels.tif"

    status = run("segment", tmp_path / "a.svs", "--model", model, "--output", path)

    lines = [line for line in capfd.readouterr().out.splitlines() if line.endswith(" mm2")]
    assert status == 0
    assert len(lines) == len(load_model(model).config.classes)
    total = sum(float(line.split()[-2].replace(",", "")) for line in lines)
    assert total == pytest.approx(320 * 400 * 0.05**2, abs=0.01)


def test_the_image_is_laid_in_the_ways_that_were_asked_for(
    scene: Path, model: Path, output: Path, capfd: Captured
) -> None:
    path = output / "labels.tif"

    status = run("segment", scene, "--model", model, "--output", path, "--tta", "all", "--json")

    assert status == 0
    assert json.loads(capfd.readouterr().out)["reports"][0]["turns"] == "all"
    plain, mean = (glnet.segment(scene, model, turns=ways) for ways in _WAYS)
    assert np.array_equal(_labels(path), mean)
    assert not np.array_equal(plain, mean)


def test_ways_that_nobody_knows_are_told_in_one_line(
    scene: Path, model: Path, output: Path, capfd: Captured
) -> None:
    assert run("segment", scene, "--model", model, "--output", output, "--tta", "some") == 1
    assert "--tta" in (line := only_line(capfd))
    assert "quarters" in line


def test_an_overlay_lies_beside_the_labels(scene: Path, model: Path, output: Path) -> None:
    status = run("segment", scene, "--model", model, "--output", output, "--overlay")

    assert status == 0
    assert {path.name for path in output.iterdir()} == {"scene.tif", "scene_overlay.png"}
    with open_raster(output / "scene_overlay.png") as overlay:
        assert (overlay.size.height, overlay.size.width, overlay.bands) == (110, 140, 3)


def test_several_images_go_to_a_new_folder(
    scene: Path, photo: Path, model: Path, tmp_path: Path, capfd: Captured
) -> None:
    folder = tmp_path / "new"

    status = run("segment", scene, photo, "--model", model, "--output", folder)

    assert status == 0
    assert {path.name for path in folder.iterdir()} == {"scene.tif", "photo.tif"}
    assert capfd.readouterr().out.count(" megapixels/s") == 2


def test_json_is_all_that_is_printed(
    scene: Path, model: Path, output: Path, tmp_path: Path, capfd: Captured
) -> None:
    missing = tmp_path / "nowhere.tif"

    status = run("segment", missing, scene, "--model", model, "--output", output, "--json")

    out, err = capfd.readouterr()
    told = json.loads(out)
    assert status == 1
    assert err.count("\n") == 1
    assert [failure["image"] for failure in told["failures"]] == [str(missing)]
    (report,) = told["reports"]
    assert (report["height"], report["width"], report["patches"]) == (110, 140, 6)
    assert (report["image"], report["output"]) == (str(scene), str(output / "scene.tif"))
    assert sum(of["share"] for of in report["classes"]) == pytest.approx(1)
    assert report["peak_host_bytes"] > 2**20


def test_what_exists_is_replaced_only_when_asked_to(
    scene: Path, model: Path, output: Path, capfd: Captured
) -> None:
    path = output / "labels.tif"
    path.write_text("precious")
    words = ("segment", scene, "--model", model, "--output", path)

    assert run(*words) == 1
    assert f"{path} exists already" in only_line(capfd)
    assert path.read_text() == "precious"

    assert run(*words, "--overwrite") == 0
    assert _labels(path).shape == (110, 140)


def test_an_overlay_that_exists_is_not_replaced_either(
    scene: Path, model: Path, output: Path, capfd: Captured
) -> None:
    path = output / "scene_overlay.png"
    path.write_text("precious")

    status = run("segment", scene, "--model", model, "--output", output, "--overlay")

    assert status == 1
    assert f"{path} exists already" in only_line(capfd)
    assert list(output.iterdir()) == [path]


@pytest.mark.parametrize("words", [("--patch-batch", "7"), ("--precision", "float32")])
def test_settings_that_only_cost_time_or_memory_keep_the_labels(
    scene: Path, model: Path, output: Path, words: tuple[str, str]
) -> None:
    run("segment", scene, "--model", model, "--output", output / "plain.tif")

    run("segment", scene, "--model", model, "--output", output / "other.tif", *words)

    agreement = np.mean(_labels(output / "plain.tif") == _labels(output / "other.tif"))
    assert agreement >= 0.9999


def test_bfloat16_is_as_easy_to_ask_for(scene: Path, model: Path, output: Path) -> None:
    path = output / "labels.tif"

    status = run("segment", scene, "--model", model, "--output", path, "--precision", "bfloat16")

    assert status == 0
    assert np.mean(_labels(path) == glnet.segment(scene, model)) > 0.9


def test_compiling_that_fails_costs_a_line(
    scene: Path, model: Path, output: Path, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.compile", _no_compiler)
    words = ("segment", scene, "--model", model, "--output", output / "labels.tif", "--compile")

    status = run(*words)

    out, err = capfd.readouterr()
    assert (status, err) == (0, "")
    assert out.splitlines()[-1:] == ["computed without --compile, which failed: none is installed"]


def _no_compiler(*_: object, **__: object) -> None:
    raise RuntimeError("none is installed")


def test_the_image_itself_is_never_the_output(
    scene: Path, model: Path, tmp_path: Path, capfd: Captured
) -> None:
    with open_raster(scene) as raster:
        before = raster.read(Window(0, 0, raster.size))
    (tmp_path / "link.tif").symlink_to(scene)

    for place in (scene, tmp_path / "link.tif", tmp_path):
        status = run("segment", scene, "--model", model, "--output", place, "--overwrite")
        assert status == 1
        assert "is an image to be segmented" in only_line(capfd)

    with open_raster(scene) as raster:
        assert np.array_equal(raster.read(Window(0, 0, raster.size)), before)


def test_only_patches_of_which_the_global_branch_is_unsure_are_refined(
    scene: Path, tmp_path: Path, output: Path, capfd: Captured
) -> None:
    model = tiny_model()
    assert model.network.context is not None
    with torch.no_grad():
        model.network.context.classify.weight.zero_()
        model.network.context.classify.bias.copy_(torch.tensor([0.0, 0.0, 9.0]))
    save_model(model, tmp_path / "sure")
    words = ("segment", scene, "--model", tmp_path / "sure", "--output")

    assert run(*words, output / "a.tif", "--refine-below", "0.9") == 0
    shortened = capfd.readouterr().out
    assert run(*words, output / "b.tif", "--refine-below", "1") == 0

    patches = len(model.config.framing.grid(Size(110, 140)))
    assert f", refined 0 of {patches} patches" in " ".join(shortened.split())
    assert "refined" not in capfd.readouterr().out
    assert (_labels(output / "a.tif") == 2).all()


def test_a_probability_that_cannot_be_is_told_in_one_line(
    scene: Path, model: Path, output: Path, capfd: Captured
) -> None:
    words = ("segment", scene, "--model", model, "--output", output / "a.tif")

    assert run(*words, "--refine-below", "95") == 1
    assert "over 0 and up to 1, such as 0.95, got 95" in only_line(capfd)
