"""``glnet evaluate``: what it prints, writes and refuses."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from glnet.data import SegmentationFolder
from glnet.evaluation.report import Evaluation, Score
from glnet.model.checkpoint import new_model, save_model
from tests.cli.commands import files_of_at_most, only_line, run, start
from tests.cli.tiny_training import write_data
from tests.model.tiny import tiny_model

Captured = pytest.CaptureFixture[str]

PATIENCE_S = 100


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture
def data(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "data"))


@pytest.fixture(scope="module")
def scorer(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows the classes of the data."""
    classes = SegmentationFolder.open(whole).description.classes
    folder = tmp_path_factory.mktemp("scorer") / "model"
    save_model(new_model(replace(tiny_model().config, classes=classes)), folder)
    return folder


def test_the_table_has_a_row_per_class_and_a_column_per_answer(
    scorer: Path, data: Path, capfd: Captured
) -> None:
    status = run("evaluate", scorer, data)

    out, err = capfd.readouterr()
    assert (status, err) == (0, "")
    titles = ("mIoU", "accuracy", "terrain", "meadow", "orchard", "lake in red country")
    assert all(title in out for title in (*titles, "global branch", "local branch", "GLNet"))


def test_json_and_the_report_say_the_same(
    scorer: Path, data: Path, output: Path, capfd: Captured
) -> None:
    report = output / "report.json"

    status = run("evaluate", scorer, data, "--split", "train", "--output", report, "--json")

    told = json.loads(capfd.readouterr().out)
    assert status == 0
    assert told == json.loads(report.read_text())
    assert told["images"] == 2
    assert list(told["answers"]) == ["global", "local", "aggregated"]
    assert list(output.iterdir()) == [report]


def test_patches_of_which_the_global_branch_is_sure_keep_its_answer(
    data: Path, tmp_path: Path, capfd: Captured
) -> None:
    classes = SegmentationFolder.open(data).description.classes
    model = new_model(replace(tiny_model().config, classes=classes))
    assert model.network.context is not None
    with torch.no_grad():
        model.network.context.classify.weight.zero_()
        model.network.context.classify.bias.copy_(9.0 * torch.eye(len(classes))[1])
    save_model(model, tmp_path / "sure")

    status = run("evaluate", tmp_path / "sure", data, "--refine-below", "0.9", "--json")

    answers = json.loads(capfd.readouterr().out)["answers"]
    assert status == 0
    for answer in ("local", "aggregated"):
        others = [of for name, of in answers[answer]["iou"].items() if name != classes[1].name]
        assert set(others) <= {0.0, None}
        assert answers[answer]["iou"][classes[1].name] > 0


def test_a_report_with_pictures_is_made(scorer: Path, data: Path, output: Path) -> None:
    words = ("evaluate", scorer, data, "--report", output / "report", "--pictures", 1)

    assert run(*words, "--tta", "flips") == 0
    assert run(*words, "--overwrite") == 0

    assert [path.name for path in output.iterdir()] == ["report"]
    assert {path.name for path in (output / "report").iterdir()} == {
        "report.json",
        "report.md",
        "worst_1_validation_000.png",
        *(f"confusion_{answer}.png" for answer in ("global", "local", "aggregated")),
    }


def test_compiling_that_fails_costs_a_line(
    scorer: Path, data: Path, output: Path, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_compiler(*_: object, **__: object) -> None:
        raise RuntimeError("none is installed")

    monkeypatch.setattr("torch.compile", no_compiler)
    report = output / "report"

    status = run("evaluate", scorer, data, "--compile", "--report", report, "--pictures", 1)

    said = "computed without --compile, which failed: none is installed"
    out, err = capfd.readouterr()
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == said
    assert json.loads((report / "report.json").read_text())["note"] == said
    page = (report / "report.md").read_text()
    assert f"- note: {said}" in page
    assert "- compiled: no" in page


def test_a_memory_that_nothing_fits_is_told_in_one_line(
    scorer: Path, data: Path, output: Path, capfd: Captured
) -> None:
    report = output / "report.json"

    words = ("evaluate", scorer, data, "--patch-batch", 1, "--output", report)

    assert run(*words, "--memory", "1KiB") == 1
    assert "validation_000" in (line := only_line(capfd))
    assert "needs at least --memory " in line
    assert not report.exists()

    assert run(*words, "--memory", "1GiB") == 0
    assert report.exists()


def test_a_report_that_exists_is_replaced_only_when_asked_to(
    scorer: Path, data: Path, output: Path, capfd: Captured
) -> None:
    report = output / "report.json"
    report.write_text("precious")

    assert run("evaluate", scorer, data, "--output", report) == 1
    assert f"{report} exists already" in only_line(capfd)
    assert report.read_text() == "precious"

    assert run("evaluate", scorer, data, "--output", report, "--overwrite") == 0
    assert json.loads(report.read_text())["images"] == 1


def test_a_description_may_lie_elsewhere(
    scorer: Path, data: Path, tmp_path: Path, capfd: Captured
) -> None:
    elsewhere = tmp_path / "mine.yaml"
    (data / "dataset.yaml").rename(elsewhere)

    assert run("evaluate", scorer, data) == 1
    assert f"{data}/dataset.yaml" in only_line(capfd)
    assert run("evaluate", scorer, data, "--description", elsewhere) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("{model}", "required: DATA"),
        ("{model} {data} --split nobody", "no split 'nobody'; known are train, validation"),
        ("{model} {data} --splt train", "did you mean --split?"),
        ("{model} {data} --patch-batch 0", "at least 1, got 0"),
        ("{model} {data} --protocol isic", "scores two classes, the background and then"),
        ("{model} {data} --protocol citynames", "--protocol"),
        ("{model} {data} --tta twice", "--tta"),
        ("{model} {data} --report {data}", "{data} exists and is not empty"),
        ("{model} {data} --report {data} --overwrite", "is no earlier report"),
        ("{model} {data} --report {data}/no/report", "must exist and be writable"),
        ("{model} {data} --report {data}/report --pictures -1", "0 or more, got -1"),
        ("{model} {data} --output report.txt", "must end in one of .json"),
        ("{model} {data} --output {data}/no/report.json", "{data}/no does not exist"),
        ("{model} {data} --description {data}/no.yaml", "{data}/no.yaml"),
        ("{model} {model}", "{model}/dataset.yaml"),
        ("{data} {data}", "{data} is no model"),
    ],
)
def test_wrong_words_are_told_in_one_line(
    words: str, said: str, scorer: Path, data: Path, capfd: Captured
) -> None:
    status = run("evaluate", *words.format(model=scorer, data=data).split())

    assert status == 1
    assert said.format(model=scorer, data=data) in only_line(capfd)


def test_other_classes_are_told(model: Path, data: Path, capfd: Captured) -> None:
    status = run("evaluate", model, data)

    assert status == 1
    assert "the model knows the classes nothing, field, water; the dataset" in only_line(capfd)


@pytest.mark.parametrize("damage", ["missing", "size", "value", "cut", "image cut", "image grey"])
def test_bad_files_cost_one_line_that_names_them(
    damage: str, scorer: Path, data: Path, output: Path, capfd: Captured
) -> None:
    image, mask = (data / kind / "validation_000.png" for kind in ("images", "masks"))
    match damage:
        case "missing":
            mask.unlink()
        case "size":
            Image.new("L", (3, 3)).save(mask)
        case "value":
            Image.fromarray(np.full((160, 128), 9, np.uint8)).save(mask)
        case "cut":
            mask.write_bytes(mask.read_bytes()[:-200])
        case "image cut":
            image.write_bytes(image.read_bytes()[:-200])
        case _:
            Image.open(image).convert("L").save(image)

    status = run("evaluate", scorer, data, "--output", output / "report.json")

    assert status == 1
    assert "validation_000" in only_line(capfd)
    assert list(output.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder that refuses even root")
def test_a_folder_that_takes_no_files_is_found_out_before_the_work(
    scorer: Path, data: Path, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("glnet.evaluation.evaluate.evaluate")

    status = run("evaluate", scorer, data, "--output", "/proc/report.json")

    assert status == 1
    assert "/proc/report.json" in only_line(capfd)


def test_a_report_that_finds_no_room_leaves_nothing(
    scorer: Path, data: Path, output: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Evaluation(1, 1, {"local": Score({"terrain": 0.5}, 0.5, 0.5)})
    monkeypatch.setattr("glnet.evaluation.evaluate._evaluated", lambda *_: found)

    with files_of_at_most(100):
        status = run("evaluate", scorer, data, "--output", output / "report.json")

    assert status == 1
    assert "report.json could not be written whole" in only_line(capsys)
    assert list(output.iterdir()) == []


def test_ctrl_c_leaves_nothing(scorer: Path, data: Path, output: Path) -> None:
    # As at a terminal, even where these tests run in the background. The next image never ends.
    before = (
        "import signal, threading; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from glnet.evaluation import evaluate; "
        "evaluate._count = lambda *_: (print('begun', flush=True), threading.Event().wait())"
    )

    process = start("evaluate", scorer, data, "--output", output / "report.json", before=before)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 1
    assert err.startswith("glnet: interrupted")
    assert err.count("\n") == 1
    assert list(output.iterdir()) == []
