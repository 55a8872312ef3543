"""``glnet demo``: what it prints and refuses; with tiny scenes and epochs."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import only_line, run
from tests.tiny_demo import shrink

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)


def test_it_tells_what_it_does_and_where_everything_is(tmp_path: Path, capfd: Captured) -> None:
    folder = tmp_path / "demo"

    status = run("demo", "--output", folder)

    out, err = capfd.readouterr()
    assert status == 0
    for words in ("global only", "local only", "GLNet", "points of mIoU", "done in "):
        assert words in out
    for name in ("comparison.png", "scene_labels.tif", "scene_labels_overlay.png", "run/model"):
        assert f"{folder / name}: " in out
    assert all(line.startswith("glnet: ") for line in err.splitlines())
    for words in ("drawing 3 scenes of 128x128 (", "refined: epoch 1 of 1", "of 300x300 ("):
        assert words in err


def test_json_is_all_that_is_printed(tmp_path: Path, capfd: Captured) -> None:
    status = run("demo", "--output", tmp_path / "demo", "--json", "--seed", 5)

    told = json.loads(capfd.readouterr().out)
    assert status == 0
    assert list(told["answers"]) == ["global only", "local only", "GLNet"]
    assert told["labels"] == str(tmp_path / "demo" / "scene_labels.tif")
    assert json.loads((tmp_path / "demo" / "report.json").read_text()) == told


def test_only_an_earlier_demonstration_is_replaced(tmp_path: Path, capfd: Captured) -> None:
    demo, photos = tmp_path / "demo", tmp_path / "photos"
    photos.mkdir()
    (photos / "precious.jpg").touch()
    assert run("demo", "--output", demo) == 0
    (demo / "old").touch()
    capfd.readouterr()

    assert run("demo", "--output", demo) == 1
    assert f"{demo} exists and is not empty; choose another, or --overwrite" in only_line(capfd)
    assert run("demo", "--output", photos, "--overwrite") == 1
    assert f"{photos} is not an earlier demonstration" in only_line(capfd)
    assert run("demo", "--output", demo, "--overwrite") == 0

    assert (photos / "precious.jpg").exists()
    assert not (demo / "old").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--seed x", "--seed: expected a whole number, got x"),
        ("--size 3", "unrecognized arguments: --size"),
        ("--output {file}/demo", "cannot make the folder {file}/demo"),
    ],
)
def test_wrong_words_are_told_in_one_line(
    words: str, said: str, tmp_path: Path, capfd: Captured
) -> None:
    file = tmp_path / "file"
    file.touch()

    status = run("demo", *words.format(file=file).split())

    assert status == 1
    assert said.format(file=file) in only_line(capfd)
