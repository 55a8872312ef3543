"""The report with pictures: what is in it, that it is whole or not there, what it replaces."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glnet.data import SceneSettings, SegmentationFolder, write_dataset
from glnet.errors import ConfigurationError, OutputError
from glnet.evaluation import report_folder
from glnet.evaluation.evaluate import ReportFolder, evaluate_folder
from glnet.evaluation.illustrations import Illustration, choices, show_confusions
from glnet.evaluation.report import Evaluation, ImageAnswer, ImageScore, Score
from glnet.evaluation.report_folder import About, check_folder, write_folder
from glnet.geometry import Size
from glnet.inference.streaming import Settings
from glnet.model.checkpoint import Model, new_model
from tests.model.tiny import tiny_model

ABOUT = About("a model", "some data", "test", Settings())
PICTURE = Illustration("worst 1: a", "worst_1_a.png", np.zeros((4, 4, 3), np.uint8))


def evaluation(*scores: float | None) -> Evaluation:
    """Of as many images, named after their place."""
    images = tuple(
        ImageScore(f"{k}", None, 4, {"local": ImageAnswer(score, {"a": score}, score, score)})
        for k, score in enumerate(scores)
    )
    found = Score({"a": 0.5, "b": 0.5}, 0.5, 0.5)
    return Evaluation(len(scores), 4, {"local": found}, per_image=images)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> SegmentationFolder:
    folder = tmp_path_factory.mktemp("scenes")
    return write_dataset(folder / "data", SceneSettings(Size(64, 80)), {"test": 3})


@pytest.fixture(scope="module")
def model(scenes: SegmentationFolder) -> Model:
    tiny = tiny_model("deep").config
    return new_model(replace(tiny, classes=scenes.description.classes))


def test_a_report_shows_numbers_tables_and_pictures(
    scenes: SegmentationFolder, model: Model, tmp_path: Path
) -> None:
    told: list[str] = []

    found = evaluate_folder(
        model,
        scenes.root,
        "test",
        Settings(),
        report_folder=ReportFolder(tmp_path / "report", pictures=1),
        progress=lambda name, *_: told.append(name),
    )

    worst, best = found.ranked()[0][1].stem, found.ranked()[-1][1].stem
    pictures = {f"worst_1_{worst}.png", f"best_1_{best}.png"}
    pictures |= {f"confusion_{answer}.png" for answer in ("global", "local", "aggregated")}
    assert {of.name for of in (tmp_path / "report").iterdir()} == {
        "report.json",
        "report.md",
        *pictures,
    }
    assert [of.name for of in tmp_path.iterdir()] == ["report"]
    assert told[-2:] == [f"drawing {worst}", f"drawing {best}"]
    numbers = json.loads((tmp_path / "report" / "report.json").read_text())
    about = numbers.pop("about")
    assert numbers == json.loads(json.dumps(found.to_dict()))
    assert (about["data"], about["split"], about["turns"]) == (str(scenes.root), "test", "none")
    assert {"glnet", "torch", "timm"} <= set(about["versions"])
    assert about["hardware"]["cores"]
    assert about["largest"] == "64x80"
    assert set(about["memory"]) == {"global", "local", "aggregated"}
    assert about["configuration"]["classes"][0] == scenes.description.classes[0].to_dict()
    assert {of["file"] for of in about["pictures"]} == pictures
    page = (tmp_path / "report" / "report.md").read_text()
    assert all(f"({name})" in page for name in pictures)
    assert all(info.name in page for info in scenes.description.classes)
    assert "- protocol: generic: IoU of every class" in page
    for name in pictures:
        with Image.open(tmp_path / "report" / name) as picture:
            assert picture.mode == "RGB"


def test_images_are_shown_once_from_both_ends() -> None:
    few = evaluation(0.5, None, 0.1, 0.9)
    many = evaluation(*(k / 10 for k in range(10)))

    assert [(of.rank, of.stem) for of in choices(few, 3)] == [
        ("worst 1", "2"),
        ("worst 2", "0"),
        ("best 1", "3"),
    ]
    assert [of.stem for of in choices(many, 3)] == ["0", "1", "2", "9", "8", "7"]
    assert choices(many, 0) == choices(evaluation(None), 3) == []
    assert [of.rank for of in choices(evaluation(0.2), 3)] == ["worst 1"]


def test_more_classes_than_can_be_read_have_no_heat_map() -> None:
    counted = replace(evaluation(0.5), confusions={"local": [[1] * 41] * 42})

    assert show_confusions(counted, [f"{k}" for k in range(41)]) == []


def test_a_report_replaces_an_earlier_report_when_it_may(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.mkdir()  # An empty folder is as good as none.
    write_folder(path, evaluation(0.25), ABOUT, [PICTURE])

    with pytest.raises(OutputError, match="exists and is not empty"):
        write_folder(path, evaluation(0.75), ABOUT, [])
    assert json.loads((path / "report.json").read_text())["per_image"][0]["stem"] == "0"
    write_folder(path, evaluation(0.75, 0.5), ABOUT, [], overwrite=True)

    assert {of.name for of in path.iterdir()} == {"report.json", "report.md"}
    assert json.loads((path / "report.json").read_text())["images"] == 2
    assert [of.name for of in tmp_path.iterdir()] == ["report"]


def test_what_is_no_report_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.json").write_text("precious")
    (tmp_path / "file").write_text("precious")

    with pytest.raises(OutputError, match="is no earlier report"):
        check_folder(tmp_path / "mine", overwrite=True)
    with pytest.raises(OutputError, match="is a file"):
        check_folder(tmp_path / "file", overwrite=True)
    with pytest.raises(OutputError, match="must exist and be writable"):
        check_folder(tmp_path / "no" / "report", overwrite=True)

    assert {of.name for of in tmp_path.iterdir()} == {"mine", "file"}


def test_a_full_disk_leaves_the_earlier_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report"
    write_folder(path, evaluation(0.25), ABOUT, [])

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_folder(path, evaluation(0.75, 0.5), ABOUT, [PICTURE], overwrite=True)

    assert json.loads((path / "report.json").read_text())["images"] == 1
    assert [of.name for of in tmp_path.iterdir()] == ["report"]


def test_an_earlier_report_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report"
    write_folder(path, evaluation(0.25), ABOUT, [])
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.suffix == ".partial":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OutputError, match="Input/output error"):
        write_folder(path, evaluation(0.75, 0.5), ABOUT, [], overwrite=True)

    assert json.loads((path / "report.json").read_text())["images"] == 1
    assert [of.name for of in tmp_path.iterdir()] == ["report"]


def test_a_place_for_no_report_is_found_out_first(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")

    with pytest.raises(OutputError, match="is a file"):
        evaluate_folder(
            "no model",
            "no data",
            "test",
            Settings(),
            report_folder=ReportFolder(tmp_path / "taken"),
        )


def test_a_stop_while_pictures_are_drawn_leaves_no_report(
    scenes: SegmentationFolder, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(report_folder, "write_picture", stop)
    with pytest.raises(KeyboardInterrupt):
        evaluate_folder(
            model, scenes.root, "test", Settings(), report_folder=ReportFolder(tmp_path / "report")
        )

    assert list(tmp_path.iterdir()) == []


def test_a_protocol_judges_the_folder(scenes: SegmentationFolder, model: Model) -> None:
    with pytest.raises(ConfigurationError, match="isic scores two classes"):
        evaluate_folder(model, scenes.root, "test", Settings(), protocol="isic")


def test_less_than_no_pictures_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="0 or more, got -1"):
        ReportFolder(Path("report"), -1)


def test_odd_names_make_sound_files_and_pages(
    tmp_path: Path, scenes: SegmentationFolder, model: Model
) -> None:
    data = tmp_path / "data"
    for kind in ("images", "masks"):
        (data / kind).mkdir(parents=True)
        source = scenes.root / kind / "test_000.png"
        (data / kind / f"a | b (1) [2]{source.suffix}").write_bytes(source.read_bytes())
    text = (scenes.root / "dataset.yaml").read_text()
    (data / "dataset.yaml").write_text(text[: text.index("splits:")])
    folder = ReportFolder(tmp_path / "report")

    evaluate_folder(model, data, "all", Settings(), report_folder=folder)

    assert (folder.path / "worst_1_a_b_1_2_.png").is_file()
    page = (folder.path / "report.md").read_text()
    assert "| a \\| b (1) [2] |" in page
