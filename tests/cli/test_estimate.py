"""``glnet estimate``."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import only_line, run

Captured = pytest.CaptureFixture[str]


def test_every_size_with_every_batch_is_a_row(model: Path, capsys: Captured) -> None:
    status = run("estimate", model, "--size", "130x140", "300x200", "--patch-batch", 1, 2, "--json")

    told = json.loads(capsys.readouterr().out)
    assert status == 0
    assert [(of["height"], of["width"], of["patch_batch"]) for of in told] == [
        (130, 140, 1),
        (130, 140, 2),
        (300, 200, 1),
        (300, 200, 2),
    ]
    assert told[0]["multiply_adds"] == pytest.approx(told[1]["multiply_adds"], rel=0.01)
    assert told[0]["device"] == "cuda"


def test_people_get_a_table(model: Path, capsys: Captured) -> None:
    status = run("estimate", model, "--size", "130x140", "--patch-batch", 1)

    told = capsys.readouterr().out
    assert status == 0
    assert "float32 on cuda, collapsed head" in told
    assert "130x140" in told


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--size", "0x5"), "--size needs sides from 1 to 2^31 pixels, got 0x5"),
        (("--size", "5x3000000000"), "--size needs sides from 1 to 2^31 pixels"),
        (("--size", "large"), "--size is height x width in pixels, 2448x2448, got large"),
        (("--size", "64x64", "--patch-batch", "0"), "patch batch must be at least 1, got 0"),
        (("--size", "64x64", "--device", "cpu", "--precision", "float16"), "float16 is for GPUs"),
        (("--size", "64x64", "--no-collapse", "--precision", "bfloat16"), "in float32 only"),
        (("--size", "64x64", "--config", "train.yaml"), "either a model's folder or a training"),
    ],
)
def test_what_cannot_be_costs_one_line(
    model: Path, capsys: Captured, words: tuple[str, ...], expected: str
) -> None:
    assert run("estimate", model, *words) != 0

    assert expected in only_line(capsys)


def test_a_folder_that_is_no_model_costs_one_line(tmp_path: Path, capsys: Captured) -> None:
    assert run("estimate", tmp_path, "--size", "64x64") == 1

    assert str(tmp_path) in only_line(capsys)


def test_a_configuration_needs_the_number_of_classes(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "train.yaml").write_text("architecture: {backbone: test_resnet}\n")

    assert run("estimate", "--config", tmp_path / "train.yaml", "--size", "64x64") == 1
    assert "add --classes" in only_line(capsys)

    words = ("--classes", 3, "--size", "600x600", "--patch-batch", 1, "--json")
    assert run("estimate", "--config", tmp_path / "train.yaml", *words) == 0
    assert json.loads(capsys.readouterr().out)[0]["patches"] == 4


TINY = """
architecture: {backbone: test_resnet, fpn_width: 8, refined_width: 4}
framing: {patch_size: 64, thumbnail_size: 64, overlap: 16}
stages:
  context: {epochs: 1, learning_rate: 0.1, images: 2}
  local: {epochs: 1, learning_rate: 0.1, images: 1, patches: 3, micro_batch: 2}
  refined: {epochs: 0, learning_rate: 0.1}
"""


@pytest.fixture
def training(tmp_path: Path) -> tuple[object, ...]:
    """The words of an estimate of a training."""
    (tmp_path / "train.yaml").write_text(TINY)
    return "estimate", "--training", "--config", tmp_path / "train.yaml", "--size", "130x140"


def test_every_stage_of_a_training_is_a_row(training: tuple[object, ...], capsys: Captured) -> None:
    assert run(*training, "90x90", "--classes", 3, "--json") == 0

    told = json.loads(capsys.readouterr().out)
    assert [(of["height"], of["stage"], of["images"], of["micro_batch"]) for of in told] == [
        (130, "context", 2, 6),
        (130, "local", 1, 2),
        (90, "context", 2, 6),
        (90, "local", 1, 2),
    ]
    assert all(of["device_bytes"] > 0 and of["multiply_adds"] > 0 for of in told)
    assert {(of["device"], of["precision"]) for of in told} == {("cuda", "float32")}


def test_people_get_a_table_of_a_training(training: tuple[object, ...], capsys: Captured) -> None:
    assert run(*training, "--classes", 3, "--device", "cpu") == 0

    told = capsys.readouterr().out
    assert "a training step, float32 on cpu" in told
    assert "context" in told
    assert "local" in told


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "add --classes"),
        (("--classes", "3", "--patch-batch", "2"), "--see-* are for predictions"),
        (("--classes", "3", "--see-whole", "64"), "--see-* are for predictions"),
        (("--classes", "3", "--no-collapse"), "--see-* are for predictions"),
        (("--classes", "3", "--size", "130x20"), "images with sides over 32 px, got 130x20"),
        (("--classes", "3", "--precision", "bfloat16"), "in float32 only, got bfloat16"),
        (("--classes", "3", "--config", "no.yaml"), "no such configuration file: no.yaml"),
    ],
)
def test_what_cannot_be_of_a_training_costs_one_line(
    training: tuple[object, ...], capsys: Captured, words: tuple[str, ...], expected: str
) -> None:
    assert run(*training, *words) == 1

    assert expected in only_line(capsys)


def test_the_precision_of_a_training_is_that_of_its_configuration(
    training: tuple[object, ...], tmp_path: Path, capsys: Captured
) -> None:
    with (tmp_path / "train.yaml").open("a") as file:
        file.write("run: {precision: 16-mixed}\n")

    assert run(*training, "--classes", 3) == 1
    assert "in float32 only, got float16; add --precision float32" in only_line(capsys)

    assert run(*training, "--classes", 3, "--precision", "float32", "--json") == 0


def test_a_training_is_estimated_by_its_configuration(model: Path, capsys: Captured) -> None:
    assert run("estimate", model, "--training", "--size", "64x64") == 1

    assert "--training needs a training --config" in only_line(capsys)
