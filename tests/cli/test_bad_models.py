"""Models that are damaged or foreign, typed to the commands that read them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.cli.commands import only_line, run

Captured = pytest.CaptureFixture[str]


def _change_config(**values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        config = json.loads(path.read_text())
        for key, value in values.items():
            config[key] = config[key] | value if isinstance(value, dict) else value
        path.write_text(json.dumps(config))

    return change


def _truncate(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return change


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "weights truncated": (_truncate("model.safetensors"), "damaged or missing"),
    "weights missing": (lambda at: (at / "model.safetensors").unlink(), "damaged or missing"),
    "config truncated": (_truncate("config.json"), "config.json is damaged"),
    "config missing": (lambda at: (at / "config.json").unlink(), "is no model"),
    "all missing": (shutil.rmtree, "is no model"),
    "newer format": (_change_config(format=99), "has format 99, this glnet reads"),
    "unknown key": (_change_config(colour="red"), "does not describe a model"),
    "wrong type": (_change_config(framing={"patch_size": "big"}), "does not describe a model"),
    "other width": (_change_config(architecture={"fpn_width": 16}), "another architecture"),
    "other parts": (_change_config(architecture={"sharing": "none"}), "another architecture"),
    "no such backbone": (_change_config(architecture={"backbone": "resnet51"}), "resnet51"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", ["info", "segment"])
def test_a_damaged_model_costs_one_line(
    command: str, damage: str, model: Path, photo: Path, output: Path, capfd: Captured
) -> None:
    damaged = output.parent / "damaged"
    shutil.copytree(model, damaged)
    change, said = DAMAGES[damage]
    change(damaged)
    words = {
        "info": ("info", damaged),
        "segment": ("segment", photo, "--model", damaged, "--output", output / "a.tif"),
    }[command]

    status = run(*words)

    assert status == 1
    line = only_line(capfd)
    assert said in line
    assert str(damaged) in line
    assert list(output.iterdir()) == []


class _Trap:
    """What would run code where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_a_published_file_that_needs_code_is_refused_and_the_code_not_run(
    tmp_path: Path, output: Path, capfd: Captured
) -> None:
    trap, sprung = tmp_path / "trap.pth", tmp_path / "sprung"
    torch.save({"module.weight": _Trap(sprung)}, trap)

    status = run("convert", trap, "--output", output / "model")

    assert status == 1
    assert f"{trap} needs code to be unpickled" in only_line(capfd)
    assert not sprung.exists()
    assert list(output.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"hello", None])
def test_a_file_that_is_no_checkpoint_is_refused(
    content: bytes | None, tmp_path: Path, output: Path, capfd: Captured
) -> None:
    path = tmp_path / "global.pth"
    if content is not None:
        path.write_bytes(content)

    status = run("convert", path, "--output", output / "model")

    assert status == 1
    assert str(path) in only_line(capfd)
    assert list(output.iterdir()) == []


def test_an_image_is_no_model(photo: Path, capfd: Captured) -> None:
    status = run("info", photo)

    assert status == 1
    assert f"{photo} is no model" in only_line(capfd)


def test_a_model_in_the_wrong_place_is_no_image(model: Path, output: Path, capfd: Captured) -> None:
    status = run("segment", model, "--model", model, "--output", output)

    assert status == 1
    assert "is a folder" in only_line(capfd)
