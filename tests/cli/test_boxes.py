"""``glnet boxes``: Figure 8 for one's own images and model."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glnet.model.checkpoint import save_model
from glnet.model.config import CoarseToFine
from tests.cli.commands import only_line, run
from tests.model.tiny import tiny_model

Captured = pytest.CaptureFixture[str]

DESCRIPTION = """\
classes: [nothing, field]
mask: {encoding: index}
splits: {fractions: {train: 0.5, validation: 0.5}, seed: 0}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(6):
        pixels = rng.integers(0, 256, (90, 110, 3), dtype=np.uint8)
        labels = np.zeros((90, 110), np.uint8)
        labels[: 10 * number, 20:60] = 1
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        Image.fromarray(labels).save(folder / "masks" / f"{number}.png")
    (folder / "dataset.yaml").write_text(DESCRIPTION)
    return folder


@pytest.fixture(params=["coarse to fine", "any other"])
def model(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    rule = CoarseToFine()
    made = tiny_model(coarse_to_fine=rule)
    if request.param == "any other":
        made = tiny_model(classes=2)
    save_model(made, tmp_path / "model")
    return tmp_path / "model"


def test_a_folder_shows_foreground_before_and_after(
    model: Path, data: Path, tmp_path: Path, capfd: Captured
) -> None:
    status = run("boxes", model, data, "--output", tmp_path / "out", "--panels", 2)

    assert status == 0
    written = {of.name for of in (tmp_path / "out").iterdir()}
    assert {"README.md", "boxes.csv", "histogram.png"} <= written
    with (tmp_path / "out" / "boxes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    for row in rows:
        number = int(row["image"])
        assert float(row["before"]) == pytest.approx(10 * number * 40 / (90 * 110), abs=1e-6)
    assert "images: 3" in capfd.readouterr().out


def test_what_is_there_is_replaced_on_request_only(
    data: Path, tmp_path: Path, capfd: Captured
) -> None:
    save_model(tiny_model(coarse_to_fine=CoarseToFine()), tmp_path / "model")
    words = ("boxes", tmp_path / "model", data, "--output", tmp_path / "out")
    assert run(*words) == 0
    capfd.readouterr()

    assert run(*words) == 1
    assert "is not empty" in only_line(capfd)
    assert run(*words, "--overwrite") == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    assert run(*words[:3], "--output", tmp_path / "other", "--overwrite") == 1
    assert (tmp_path / "other" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("row", "classes", "words"),
    [
        ("local only", 2, "a branch that sees the whole image"),
        ("bidirectional", 3, "background and one class of foreground"),
    ],
)
def test_models_that_draw_no_boxes_are_refused(
    data: Path, tmp_path: Path, capfd: Captured, row: str, classes: int, words: str
) -> None:
    save_model(tiny_model(row, classes=classes), tmp_path / "model")

    assert run("boxes", tmp_path / "model", data, "--output", tmp_path / "out") == 1

    assert words in only_line(capfd)
    assert not (tmp_path / "out").exists()
