import math
import re
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from glnet.cli import evaluate, segment
from glnet.errors import OutputError
from glnet.evaluation.report import Evaluation, Score
from glnet.training.config import CoarseToFineTraining, DataConfig, TrainingConfig
from glnet.training.following.summary import (
    RunFacts,
    summary_text,
    waiting_share,
    write_summary,
)
from tests.training.following.some_rounds import a_round, looked_at

CLASSES = ("nothing", "field|wet", "water")
SCORES = Evaluation(
    3,
    123456,
    {
        "global": Score({"nothing": 0.5, "field|wet": None, "water": 0.25}, 0.375, 0.9),
        "aggregated": Score({"nothing": 0.75, "field|wet": None, "water": 0.5}, 0.625, 0.95),
    },
)
ROUNDS = (
    looked_at("context", 1, miou=0.25),
    looked_at("context", 2, miou=0.75),
    replace(looked_at("context", 3, miou=0.5), seconds=5.0, waiting_share=0.4),
    a_round("local", 0.5),
)


def config(output: Path, folder: str = "scenes") -> dict[str, Any]:
    return asdict(TrainingConfig(data=DataConfig(folder=folder), output=str(output)))


def facts(output: Path, **known: Any) -> RunFacts:  # noqa: ANN401
    values: dict[str, Any] = {
        "config": config(output),
        "splits": {"train": 12, "validation": 3},
        "classes": CLASSES,
        "rounds": ROUNDS,
        "versions": {"glnet": "9.8.7", "torch": "2.9"},
        "machine": "two cores",
        "resume": "glnet train --resume run",
        "scores": SCORES.to_dict(),
    }
    return RunFacts(**{**values, **known})


def section(text: str, name: str) -> str:
    (found,) = re.findall(rf"^## {name}\n\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return str(found)


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without head and ruler of the first."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
        if "---" not in line
    ][1:]


def links(text: str) -> list[str]:
    return [unquote(of) for of in re.findall(r"\]\(([^)]*)\)", text)]


def test_the_summary_says_what_was_trained_on_what(tmp_path: Path) -> None:
    text = summary_text(tmp_path / "my_run", facts(tmp_path))

    assert text.startswith("# Run my\\_run\n")
    assert "`resnet50`" in text
    assert "on `scenes`: 12 in train, 3 in validation images" in text
    assert "3 classes: nothing, field\\|wet, water." in text
    assert "This run is finished." in text
    assert "two cores; glnet 9.8.7, torch 2.9; seed 0." in section(text, "Machine")


def test_scores_stand_as_the_evaluation_found_them(tmp_path: Path) -> None:
    text = section(summary_text(tmp_path, facts(tmp_path)), "Scores")

    assert "on 3 images of `validation`" in text
    assert "| | global answer | aggregated answer |" in text.replace("|  |", "| |")
    assert rows(text) == [
        ["mIoU", "37.5", "62.5"],
        ["accuracy", "90.0", "95.0"],
        ["nothing", "50.0", "75.0"],
        ["field\\|wet", "-", "-"],
        ["water", "25.0", "50.0"],
    ]


def test_scores_that_are_none_are_not_told(tmp_path: Path) -> None:
    nothing = Evaluation(1, 1, {"local": Score({}, math.nan, math.nan)}).to_dict()

    text = section(summary_text(tmp_path, facts(tmp_path, scores=nothing)), "Scores")

    assert {cell for _, *cells in rows(text) for cell in cells} == {"-"}


def test_every_stage_has_a_row(tmp_path: Path) -> None:
    text = section(summary_text(tmp_path, facts(tmp_path)), "Stages")

    assert rows(text) == [
        ["context", "3", "30", "10 s", "0.5000", "50.0", "75.0 (epoch 2)", "25 %", "512 MiB"],
        ["local", "0.5", "5", "2 s", "0.5000", "-", "-", "-", "-"],
    ]


def test_a_run_that_goes_on_says_so(tmp_path: Path) -> None:
    text = summary_text(tmp_path, facts(tmp_path, scores=None, rounds=()))

    assert "This run is not finished" in text
    for absent in ("Scores", "Stages", "Curves", "Fixed images", "Files"):
        assert f"## {absent}" not in text


def test_the_salient_settings_stand_in_a_table(tmp_path: Path) -> None:
    text = section(summary_text(tmp_path, facts(tmp_path)), "Configuration")

    assert ["`loss.gamma`", "`6.0`"] in rows(text)
    assert ["context", "120", "0.0001", "6", "6"] in rows(text)
    assert "[config.yaml](config.yaml)" in text


@pytest.mark.parametrize("how", [None, CoarseToFineTraining(boxes="each")])
def test_boxes_and_their_stage_are_told_of_where_they_are(
    tmp_path: Path, how: CoarseToFineTraining | None
) -> None:
    values = {**config(tmp_path), "coarse_to_fine": None if how is None else asdict(how)}

    text = section(summary_text(tmp_path, facts(tmp_path, config=values)), "Configuration")

    assert (["coarse", "120", "0.0001", "6", "6"] in rows(text)) == (how is not None)
    assert (["`coarse_to_fine.boxes`", "`each`"] in rows(text)) == (how is not None)
    assert (["`coarse_to_fine.jitter`", "`0.1`"] in rows(text)) == (how is not None)


def test_stages_that_are_left_out_stand_in_no_table(tmp_path: Path) -> None:
    values = config(tmp_path)
    values["stages"]["refined"]["epochs"] = 0

    text = section(summary_text(tmp_path, facts(tmp_path, config=values)), "Configuration")

    assert [name for name, *_ in rows(text) if name in {"context", "local", "refined"}] == [
        "context",
        "local",
    ]


def test_pictures_are_embedded_by_links_that_hold(tmp_path: Path) -> None:
    curves = [tmp_path / "curves" / "overview.png"]
    pictures = [tmp_path / "pictures" / "a (1) b#2%" / "local-002.png"]
    for path in (*curves, *pictures, tmp_path / "config.yaml", tmp_path / "history.csv"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    path = write_summary(tmp_path, facts(tmp_path, curves=curves, pictures=pictures))

    text = path.read_text()
    assert len(links(text)) == 4
    assert all((tmp_path / link).is_file() for link in links(text))
    assert "![a (1) b\\#2% local-002](" in text


def test_a_picture_elsewhere_is_linked_where_it_is(tmp_path: Path) -> None:
    elsewhere = Path("/somewhere/else.png")

    text = summary_text(tmp_path, facts(tmp_path, curves=[elsewhere]))

    assert "/somewhere/else.png" in links(text)


def test_the_commands_are_commands(tmp_path: Path) -> None:
    output = tmp_path / "my run"
    values = config(output, "all the 'scenes'")
    values["data"]["description"] = "my scenes.yaml"

    text = section(summary_text(output, facts(tmp_path, config=values)), "How to go on")

    words = {
        tuple(words[:2]): words[2:]
        for line in text.splitlines()
        if len(words := shlex.split(line, comments=True)) > 1
    }
    segmenting = segment.build_parser().parse_args(words["glnet", "segment"])
    assert segmenting.model == str(output / "model")
    evaluating = evaluate.build_parser().parse_args(words["glnet", "evaluate"])
    assert (evaluating.model, evaluating.data) == (str(output / "model"), "all the 'scenes'")
    assert (evaluating.split, evaluating.description) == ("validation", "my scenes.yaml")
    assert words["glnet", "train"] == ["--resume", "run"]
    assert words["tensorboard", "--logdir"] == [f"{output}/logs"]


def test_files_are_told_of(tmp_path: Path) -> None:
    text = summary_text(tmp_path, facts(tmp_path, files={"model/": "the model"}))

    assert rows(section(text, "Files")) == [["`model/`", "the model"]]


def test_the_share_of_waiting_weighs_rounds_by_their_length() -> None:
    short, long = (
        a_round(seconds=1, waiting_share=1.0),
        a_round(seconds=9, waiting_share=0.0),
    )

    assert waiting_share([short, long, a_round(seconds=1000)]) == 0.1
    assert waiting_share([a_round()]) is None


def test_writing_again_replaces_the_summary_and_nothing_else(tmp_path: Path) -> None:
    write_summary(tmp_path, facts(tmp_path, scores=None))
    path = write_summary(tmp_path, facts(tmp_path))

    assert path.read_text() == summary_text(tmp_path, facts(tmp_path))
    assert [of.name for of in tmp_path.iterdir()] == ["README.md"]


def test_a_full_disk_leaves_the_summary_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write_summary(tmp_path, facts(tmp_path, scores=None)).read_text()

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)

    with pytest.raises(OutputError, match=r"README.md could not be written whole: No space left"):
        write_summary(tmp_path, facts(tmp_path))
    assert (tmp_path / "README.md").read_text() == before
