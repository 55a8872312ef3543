"""The benchmarks of prediction run, and compare what they say they compare."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import (
    agreement,
    bars,
    common,
    forms,
    gpu,
    patch_ways,
    plain_step,
    spooling,
    thumbnail,
    unsure,
)
from benchmarks.patch_ways import FORMS, NETWORKS, Way
from PIL import Image, ImageColor

from glnet.data import SceneSettings, open_dataset, write_dataset
from glnet.geometry import Size, Window
from glnet.model.checkpoint import new_model, save_model
from tests.inference.pictures import picture
from tests.model.plain_glnet import Frames
from tests.model.tiny import tiny_model

SMALL = ["--backbone", "test_resnet", "--patch", "64"]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    return tmp_path


def _rows(folder: Path) -> list[list[str]]:
    """The cells of the only result's tables."""
    (path,) = folder.glob("*.md")
    lines = [line for line in path.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture
def without_smp(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (forms, patch_ways):
        monkeypatch.setattr(module, "find_spec", lambda _: None)


@pytest.mark.usefixtures("without_smp")
def test_every_form_of_a_patch_is_measured_and_drawn(results: Path) -> None:
    forms.main([*SMALL, "--rounds", "1", "--batches", "1"])

    found = {cells[0]: cells[1:] for cells in _rows(results)}
    assert found["bare backbone"][1] == "1.00"
    work = {name: float(cells[3]) for name, cells in found.items() if name and name != "---"}
    assert len(work) == 1 + len(NETWORKS) * len(FORMS)
    for network in ("global to local", "bidirectional"):
        ours = [work[f"{network}, {form}"] for form in FORMS]
        assert ours[0] > ours[1] > ours[2] > work["bare backbone"]
    (path,), (drawn,) = results.glob("*.md"), results.glob("*.png")
    assert "Left out: smp-fpn, smp-unet, smp-deeplabv3plus, since" in path.read_text()
    with Image.open(drawn) as image:
        colors = {of for _, of in image.convert("RGB").getcolors(2**24) or []}
    assert {ImageColor.getrgb(bars.COLORS[form]) for form in FORMS} <= colors


def test_other_networks_are_measured_beside_it(results: Path) -> None:
    pytest.importorskip(patch_ways.SMP)

    only = ["--only", "smp-fpn", "smp-unet"]
    forms.main(
        ["--backbone", "resnet18", "--patch", "40", "--rounds", "1", "--batches", "2", *only]
    )

    titles = [cells[0] for cells in _rows(results)]
    assert titles[2:] == ["bare backbone", "FPN (smp), 64 px", "Unet (smp), 40 px"]


def test_forms_that_do_not_agree_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def way(value: float) -> Way:
        return lambda patches: lambda: torch.full((patches, 7, 2, 2), value)

    same = {"local-plain": way(2.0), "local-hearing": way(2.0)}
    other = {**same, "bidirectional-plain": way(2.0), "bidirectional-collapsed": way(1.0)}

    assert forms.difference(same) == 0
    assert forms.difference(other) == pytest.approx(0.5)
    monkeypatch.setattr(forms, "build_ways", lambda *_: other)
    with pytest.raises(ValueError, match=r"not the same: they differ by 0\.5"):
        forms.main(SMALL)


def test_the_plain_merge_is_the_published_one() -> None:
    frames, size = Frames(picture(200, 180), 92), Size(92, 92)
    windows = [Window(row, column, size) for row, column in frames.places]
    parts, like = torch.rand(len(windows), 2, 9, 9), torch.zeros(1, 2, 12, 11)

    def merged(maps: torch.Tensor) -> torch.Tensor:
        canvas = torch.zeros_like(like)
        nobody = plain_step.NOBODY
        patch_ways.merge(
            nobody._replace(smooth=(canvas,)),
            nobody._replace(smooth=(maps,)),
            windows,
            Size(200, 180),
        )
        return canvas

    def published(maps: torch.Tensor) -> torch.Tensor:
        return frames.merge([of[None] for of in maps], like)

    ones = torch.ones_like(parts)
    torch.testing.assert_close(merged(parts) / merged(ones), published(parts) / published(ones))


def test_no_rounds_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        forms.main(["--rounds", "0"])
    assert "expected a whole number of at least 1, got 0" in capsys.readouterr().err


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


def test_thumbnails_are_measured_with_and_without_overviews(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnail, "THUMBNAIL", Size(100, 100))
    thumbnail.main(["--side", "1700", "--rounds", "1"])

    (path,) = results.glob("*.md")
    found = {cells[0]: cells[1:] for cells in _rows(results)}
    assert "overview that was used: 1/2" in path.read_text()
    assert found[thumbnail.STREAMED][1] == "1.00"
    assert {thumbnail.DECODING, "with overviews"} <= set(found)


def test_spooling_is_measured_beside_decoding_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spooling.main(["--draw", str(tmp_path), "700"])
    for way in spooling.WAYS:
        spooling.main(["--case", str(tmp_path / "photo.png"), way])

    drawn, *cases = capsys.readouterr().out.splitlines()
    assert drawn == "drawn"
    assert [len(json.loads(case)) for case in cases] == [3, 3]


def test_refining_where_unsure_is_measured_from_none_to_all(results: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", SceneSettings(Size(150, 170)), {"train": 1, "validation": 2})
    classes = open_dataset(tmp_path / "data").description.classes
    model = new_model(replace(tiny_model().config, classes=classes))
    assert model.network.context is not None
    with torch.no_grad():  # Sure of the second class, by a probability between 0.8 and 0.9.
        model.network.context.classify.weight.zero_()
        model.network.context.classify.bias.copy_(
            math.log(0.85 / 0.15 * (len(classes) - 1)) * torch.eye(len(classes))[1]
        )
    save_model(model, tmp_path / "model")

    unsure.main([str(tmp_path / "model"), str(tmp_path / "data")])

    patches = 2 * len(model.config.framing.grid(Size(150, 170)))
    cells = {row[0]: row[1:] for row in _rows(results) if len(row) > len(classes) + 2}
    refined = {name: of[1 + len(classes)] for name, of in cells.items()}
    assert all(refined[name] == f"0 of {patches} (0%)" for name in ("0.5", "0.7", "0.8"))
    assert all(refined[name] == f"{patches} of {patches} (100%)" for name in ("all", "0.9", "1"))
    assert cells["0.9"][: 1 + len(classes)] == cells["all"][: 1 + len(classes)]
    work = {
        name: float(of[-1]) for name, of in cells.items() if name not in ("refine below", "---")
    }
    assert work["0.8"] < work["all"] <= work["0.9"]
    sure = {row[0]: row[1:] for row in _rows(results) if len(row) == 1 + len(classes)}
    assert sure["0.8"] == ["0", str(patches), *["0"] * (len(classes) - 2)]
    assert sure["highest probability anywhere"][1] == "0.850"
    (path,) = results.glob("*.md")
    assert f"was a whole patch surely {classes[0].name}" in path.read_text()
    with Image.open(path.with_suffix(".png")) as drawn:
        colors = {of for _, of in drawn.convert("RGB").getcolors(2**24) or []}
    assert {ImageColor.getrgb(of) for of in (unsure.LINE, unsure.REFERENCE)} <= colors
