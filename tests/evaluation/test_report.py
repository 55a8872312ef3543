import json
from dataclasses import replace
from pathlib import Path

import pytest

from glnet.data import SceneSettings, SegmentationFolder, write_dataset
from glnet.errors import CheckpointError, ConfigurationError, DatasetError, OutputError
from glnet.evaluation.evaluate import evaluate, evaluate_folder
from glnet.evaluation.report import Evaluation, Score, write_report
from glnet.geometry import Size
from glnet.inference.streaming import Settings
from glnet.model.checkpoint import Model, new_model, save_model
from tests.model.tiny import tiny_model

EVALUATION = Evaluation(2, 300, {"local": Score({"nothing": 0.5, "field": None}, 0.5, 0.75)})


@pytest.fixture
def scenes(tmp_path: Path) -> SegmentationFolder:
    return write_dataset(tmp_path / "data", SceneSettings(Size(64, 80)), {"train": 1, "test": 2})


@pytest.fixture
def model(scenes: SegmentationFolder) -> Model:
    tiny = tiny_model("global only").config
    return new_model(replace(tiny, classes=scenes.description.classes))


def test_a_written_report_reads_as_it_was(tmp_path: Path) -> None:
    write_report(EVALUATION, tmp_path / "report.json")

    assert json.loads((tmp_path / "report.json").read_text()) == {
        "protocol": "generic",
        "figures": {},
        "confusions": {},
        "per_image": [],
        "compiled": False,
        "note": None,
        "images": 2,
        "pixels": 300,
        "answers": {
            "local": {"iou": {"nothing": 0.5, "field": None}, "mean_iou": 0.5, "accuracy": 0.75}
        },
    }


def test_a_report_goes_where_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    write_report(EVALUATION, Path("report.json"))

    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_report_is_replaced_only_where_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("mine")

    with pytest.raises(OutputError, match="exists already"):
        write_report(EVALUATION, path)

    assert path.read_text() == "mine"
    write_report(EVALUATION, path, overwrite=True)
    assert json.loads(path.read_text()) == EVALUATION.to_dict()


@pytest.mark.parametrize(
    ("name", "message"), [("report.txt", "must end in one of .json"), ("a/b.json", "not exist")]
)
def test_a_place_for_no_report_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        write_report(EVALUATION, tmp_path / name)


def test_a_full_disk_leaves_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)

    with pytest.raises(OutputError, match="No space left on device"):
        write_report(EVALUATION, tmp_path / "report.json")

    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_evaluated_as_its_split(scenes: SegmentationFolder, model: Model) -> None:
    save_model(model, scenes.root / "model")
    report = scenes.root / "report.json"

    evaluation = evaluate_folder(
        scenes.root / "model", scenes.root, "test", Settings(device="auto"), report=report
    )

    assert evaluation == evaluate(model, scenes.split("test"), scenes.description, Settings())
    assert evaluation.images == 2
    assert json.loads(report.read_text()) == evaluation.to_dict()


def test_a_folder_is_read_by_another_description(scenes: SegmentationFolder, model: Model) -> None:
    own = (scenes.root / "dataset.yaml").rename(scenes.root / "other.yaml")

    evaluation = evaluate_folder(model, scenes.root, "test", Settings(), description=own)

    assert evaluation.images == 2


def test_a_report_that_cannot_be_written_is_found_out_first(scenes: SegmentationFolder) -> None:
    report = scenes.root / "report.json"
    report.touch()

    with pytest.raises(OutputError, match="exists already"):
        evaluate_folder("no model", "no data", "test", Settings(), report=report)


def test_a_missing_split_model_or_device_is_refused(
    scenes: SegmentationFolder, model: Model
) -> None:
    with pytest.raises(DatasetError, match="no split 'validation'"):
        evaluate_folder(model, scenes.root, "validation", Settings())
    with pytest.raises(CheckpointError, match="is no model"):
        evaluate_folder(scenes.root, scenes.root, "test", Settings())
    with pytest.raises(ConfigurationError, match="device must be auto, cpu or cuda"):
        evaluate_folder(model, scenes.root, "test", Settings(device="abacus"))
