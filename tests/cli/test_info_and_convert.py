"""``glnet info`` and ``glnet convert``."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from tests.cli.commands import only_line, run
from tests.model.published_rule import published_shapes

Captured = pytest.CaptureFixture[str]


def test_info_says_what_a_model_is(model: Path, capsys: Captured) -> None:
    status = run("info", model)

    told = capsys.readouterr().out
    assert status == 0
    for words in (
        "global and local branch, deep sharing in both directions, aggregated",
        "test_resnet",
        "64 px, 16 px of overlap",
        "#ffff00 field",
        "unknown",
    ):
        assert words in " ".join(told.split())


def test_info_as_json_has_the_same_in_values(model: Path, capsys: Captured) -> None:
    status = run("info", model, "--json")

    told = json.loads(capsys.readouterr().out)
    assert status == 0
    assert told["classes"][1] == {"name": "field", "color": "#ffff00"}
    assert told["architecture"]["sharing"] == "bidirectional"
    assert told["framing"]["patch_size"] == 64
    assert told["normalization"]["mean"] == [100.0, 100.0, 100.0]
    assert told["training_extent"] is None
    assert told["file_bytes"] == (model / "model.safetensors").stat().st_size
    assert 4 * told["parameters"] < told["file_bytes"]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published") / "global.pth"
    # Expanded, they are stored as one number each.
    zero = torch.zeros(())
    state = {f"module.{name}": zero.expand(of) for name, of in published_shapes(4).items()}
    torch.save(state, path)
    return path


def test_a_converted_file_is_a_model_that_segments(
    published: Path, scene: Path, output: Path, capsys: Captured
) -> None:
    model = output / "model"
    sizes = ("--patch-size", 64, "--thumbnail-size", 96)

    assert run("convert", published, "--output", model, *sizes, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert run("segment", scene, "--model", model, "--output", output) == 0

    assert len(told["classes"]) == 4
    assert (told["framing"]["patch_size"], told["framing"]["thumbnail_size"]) == (64, 96)
    assert told["summary"] == "global branch alone"
    with rasterio.open(output / "scene.tif") as labels:
        assert np.array_equal(labels.read(1), np.zeros((110, 140), dtype=np.uint8))


def test_a_model_that_exists_is_not_replaced(published: Path, model: Path, capfd: Captured) -> None:
    before = (model / "config.json").read_text()

    status = run("convert", published, "--output", model)

    assert status == 1
    assert f"{model} exists" in only_line(capfd)
    assert (model / "config.json").read_text() == before


def test_impossible_sizes_are_refused(published: Path, output: Path, capfd: Captured) -> None:
    status = run("convert", published, "--output", output / "model", "--patch-size", 8)

    assert status == 1
    assert "patch_size must be from 32" in only_line(capfd)
    assert list(output.iterdir()) == []
