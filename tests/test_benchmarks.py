"""The benchmarks of prediction run, and compare what they say they compare."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import agreement, common, forms, gpu
from benchmarks.patch_ways import FORMS, NETWORKS, Way
from PIL import Image

from glnet.model.checkpoint import save_model
from tests.inference.pictures import picture
from tests.model.tiny import tiny_model

SMALL = ["--backbone", "resnet18", "--patch", "64"]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    return tmp_path


def _rows(folder: Path) -> list[list[str]]:
    """The cells of the only result's tables."""
    (path,) = folder.glob("*.md")
    lines = [line for line in path.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_form_of_a_patch_is_measured_and_drawn(results: Path) -> None:
    names = [f"{network}-{form}" for network in NETWORKS for form in FORMS]

    forms.main([*SMALL, "--rounds", "1", "--batches", "1", "--only", *names])

    found = {cells[0]: cells[1:] for cells in _rows(results)}
    assert found["bare backbone"][1] == "1.00 (1.00 to 1.00)"
    work = {name: float(cells[3]) for name, cells in found.items() if name and name != "---"}
    for network in ("global to local", "bidirectional"):
        ours = [work[f"{network}, {form}"] for form in FORMS]
        assert ours[0] > ours[1] > ours[2] > work["bare backbone"]
    (drawn,) = results.glob("*.png")
    with Image.open(drawn) as image:
        assert len(image.convert("RGB").getcolors(2**24) or []) > len(FORMS)


def test_forms_that_do_not_agree_are_noticed() -> None:
    def way(value: float) -> Way:
        return lambda patches: lambda: torch.full((patches, 7, 2, 2), value)

    same = {"local-plain": way(2.0), "local-hearing": way(2.0)}
    other = {**same, "bidirectional-plain": way(2.0), "bidirectional-collapsed": way(1.0)}

    assert forms.difference(same) == 0
    assert forms.difference(other) == pytest.approx(0.5)


def test_more_patches_than_there_are_are_refused(results: Path) -> None:
    with pytest.raises(SystemExit, match="36 patches, 37 were asked for"):
        forms.main([*SMALL, "--batches", "37"])
    assert not list(results.iterdir())


def test_an_estimate_stands_beside_what_was_measured(results: Path) -> None:
    case = ["--sizes", "150x130", "--batches", "2", "--precisions", "float32"]
    gpu.main([*SMALL, "--device", "cpu", *case])

    *_, row = _rows(results)
    assert row[:3] == ["150x130", "float32", "2"]
    assert float(row[5]) == pytest.approx(1, abs=0.1)
    assert float(row[4]) == pytest.approx(float(row[3]) * float(row[5]), rel=0.02)


def test_without_a_gpu_it_ends_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(SystemExit) as ending:
        gpu.main([])

    assert re.fullmatch(r"device cuda was asked for.*finds 0 CUDA GPUs.*", str(ending.value.code))


def test_gaps_are_those_of_pixels_whose_label_differs() -> None:
    scores = torch.tensor([[[5.0, 1.0, 3.0]], [[2.0, 1.5, 0.0]], [[0.0, 0.0, 2.5]]])
    others = torch.tensor([[[5.0, 1.6, 2.0]], [[2.0, 1.5, 0.0]], [[0.0, 0.0, 2.5]]])

    found = agreement.compare(scores, others)

    assert found.pixels == 3
    np.testing.assert_allclose(found.differing, [0.5, 0.5])
    np.testing.assert_allclose(found.gaps, [3.0])  # of every eighth row and column
    assert agreement.together([found, found]).cells() == ["6", "33.3333", "4", "0.5", "3"]


def test_labels_of_images_are_compared(results: Path, tmp_path: Path) -> None:
    save_model(tiny_model(), tmp_path / "model")
    images = [tmp_path / f"{seed}.png" for seed in range(2)]
    for seed, path in enumerate(images):
        Image.fromarray(picture(90, 80, seed=seed)).save(path)

    agreement.main([str(tmp_path / "model"), *map(str, images), "--precision", "bfloat16"])

    *_, first, second, every = _rows(results)
    assert [first[:2], second[:2], every[:2]] == [
        ["0.png", "7200"],
        ["1.png", "7200"],
        ["all", "14400"],
    ]
    assert int(every[3]) == int(first[3]) + int(second[3])
    assert 0 < int(every[3]) < 1440
