"""One page of a run: what is on it, what it says where something is missing, what it refuses."""

import json
import os
from pathlib import Path

import pytest

from glnet.errors import OutputError
from glnet.reporting.writing import write_report
from tests.cli.commands import files_of_at_most, only_line, run
from tests.reporting.drawn_runs import (
    HOSTILE,
    an_evaluation,
    finish,
    renamed,
    write_evaluation,
    write_run,
)
from tests.reporting.shown import Seen


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    return write_evaluation(tmp_path / "evaluation")


@pytest.fixture(scope="module")
def page_of_a_run(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = finish(write_run(tmp_path_factory.mktemp("runs") / "run"))
    write_evaluation(folder / "report")
    return Seen(write_report(folder))


def test_a_training_is_shown_with_all_that_it_left(page_of_a_run: Seen) -> None:
    page = page_of_a_run

    for heading in (
        "Scores",
        "Classes",
        "Confusion",
        "Worst and best images",
        "Training",
        "The same images while it learnt",
        "Configuration",
        "Versions and hardware",
    ):
        assert heading in page.text
    assert page.tags.count("svg") == 4 * 4  # All stages, then three of them.
    assert page.tags.count("img") == 2
    assert "resnet18" in page.text
    assert "9.9" in page.text
    assert "not finished" not in page.text


def test_nothing_on_a_page_is_fetched_from_elsewhere(page_of_a_run: Seen) -> None:
    assert page_of_a_run.references
    assert all(of.startswith(("data:", "#")) for of in page_of_a_run.references)
    assert "script" not in page_of_a_run.tags


def test_the_scores_have_the_form_of_table_two(evaluation: Path) -> None:
    page = Seen(write_report(evaluation))

    assert "Agg Fmreg G→L G⇌L mIoU (%) memory (MB)" in page.text
    assert "global branch 75.0 1 " in page.text
    assert "local branch – deep 75.0 2 " in page.text  # noqa: RUF001
    assert "GLNet ✓ – deep 75.0 3 " in page.text  # noqa: RUF001
    assert "64x80" in page.text


def test_a_training_knows_whether_maps_were_held_together(page_of_a_run: Seen) -> None:
    assert "global branch deep 75.0" in page_of_a_run.text
    assert "local branch ✓ deep 75.0" in page_of_a_run.text
    assert "GLNet ✓ ✓ deep 75.0" in page_of_a_run.text


def test_confusions_are_shares_of_their_rows(evaluation: Path) -> None:
    page = Seen(write_report(evaluation))

    assert "meadow 75.0 25.0 100 lake 0.0 100.0 75" in page.text
    assert "meadow lake 25.0 25" in page.text


def test_many_classes_have_a_list_of_mistakes_in_place_of_a_heat_map(tmp_path: Path) -> None:
    names = tuple(f"class {number}" for number in range(50))

    page = Seen(write_report(write_evaluation(tmp_path / "many", an_evaluation(names))))

    assert "too many classes for a heat map" in page.text
    assert "class 0 class 1 25.0 25" in page.text


def test_a_training_that_is_still_going_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", stages=("context", "local"))

    page = Seen(write_report(folder))

    assert "not finished: the last row is of stage local, epoch 2 of 3" in page.text
    assert f"glnet train {folder}/config.yaml --resume" in page.text
    assert "refined not begun" in page.text
    assert "coarse" not in page.text.split("Configuration")[0]
    assert "Scores" not in page.text


def test_a_training_that_has_only_begun_has_no_curves(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", stages=())

    page = Seen(write_report(folder))

    assert "no epoch is done yet" in page.text
    assert "svg" not in page.tags


def test_a_training_without_scores_says_what_adds_them(tmp_path: Path) -> None:
    folder = finish(write_run(tmp_path / "run", stages=("context",)))

    page = Seen(write_report(folder))

    assert (
        f"glnet evaluate {folder}/model some/data --split validation --dataset isic "
        f"--report {folder}/report" in page.text
    )
    assert "Scores" not in page.text


def test_reports_of_before_are_shown_with_what_they_have(evaluation: Path) -> None:
    numbers = json.loads((evaluation / "report.json").read_text())
    for key in ("memory", "largest", "configuration", "hardware", "pictures"):
        del numbers["about"][key]
    (evaluation / "report.json").write_text(json.dumps(numbers))

    page = Seen(write_report(evaluation))

    assert "Memory was not kept" in page.text
    assert page.tags.count("img") == 1
    assert "worst 1 image 0" not in page.references


def test_an_evaluation_of_ones_own_goes_before_that_of_the_training(tmp_path: Path) -> None:
    folder = finish(write_run(tmp_path / "run", stages=()))
    write_evaluation(folder / "evaluation", an_evaluation(images=5))
    (folder / "report.json").write_bytes((folder / "evaluation" / "report.json").read_bytes())

    before = Seen(write_report(folder))
    write_evaluation(folder / "report", an_evaluation(images=4))
    after = Seen(write_report(folder, overwrite=True))

    assert "images 5" in before.text
    assert "images 4" in after.text
    assert "split validation in some/data" in after.text


def test_numbers_alone_are_shown_too(evaluation: Path, tmp_path: Path) -> None:
    numbers = json.loads((evaluation / "report.json").read_text())
    del numbers["about"]
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "report.json").write_text(json.dumps(numbers))

    page = Seen(write_report(tmp_path / "alone"))

    assert "does not say of what" in page.text
    assert "No pictures were made" in page.text


def test_others_words_stay_words(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_run(folder, stages=("context", HOSTILE, "$\\frac{"))
    found = renamed(an_evaluation((HOSTILE, "lake")), HOSTILE)
    write_evaluation(folder / "report", found)
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(config.replace("some/data", HOSTILE))

    page = Seen(write_report(folder))

    assert "script" not in page.tags
    assert 'alert("x")' in page.text
    assert all(of.startswith(("data:", "#")) for of in page.references)


def test_pictures_that_cannot_be_shown_are_named(evaluation: Path, tmp_path: Path) -> None:
    numbers = json.loads((evaluation / "report.json").read_text())
    secret = tmp_path / "secret.png"
    secret.write_bytes((evaluation / "worst_1_image_0.png").read_bytes())
    (evaluation / "worst_2.png").write_bytes(b"no picture")
    (evaluation / "linked.png").symlink_to(secret)
    numbers["about"]["pictures"] = [
        {"title": "gone", "file": "worst_9.png"},
        {"title": "damaged", "file": "worst_2.png"},
        {"title": "outside", "file": "../secret.png"},
        {"title": "linked", "file": "linked.png"},
    ]
    (evaluation / "report.json").write_text(json.dumps(numbers))

    page = Seen(write_report(evaluation))

    assert "worst_9.png is missing" in page.text
    assert "worst_2.png cannot be read" in page.text
    assert "../secret.png is not in the report's folder" in page.text
    assert "linked.png is not in the report's folder" in page.text
    assert "img" not in page.tags


def test_huge_pictures_are_not_decoded(evaluation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glnet.reporting.pictures.MOST_PIXELS", 100)

    page = Seen(write_report(evaluation))

    assert "too large to be shown" in page.text


def test_more_pictures_than_a_page_bears_are_counted(
    evaluation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glnet.reporting.sections.MOST_PICTURES", 0)

    page = Seen(write_report(evaluation))

    assert "1 more are in the folder" in page.text


def test_a_page_is_written_where_it_is_asked_for(evaluation: Path, tmp_path: Path) -> None:
    wanted = tmp_path / "page.html"

    path = write_report(evaluation, wanted)

    assert path == wanted
    assert not (evaluation / "report.html").exists()
    assert sorted(of.name for of in tmp_path.iterdir()) == ["evaluation", "page.html"]


def test_a_page_that_is_there_is_replaced_only_where_that_is_asked_for(evaluation: Path) -> None:
    before = write_report(evaluation).read_bytes()

    with pytest.raises(OutputError, match="exists already"):
        write_report(evaluation)
    write_report(evaluation, overwrite=True)

    assert len(before) == (evaluation / "report.html").stat().st_size


def test_a_page_is_html(evaluation: Path) -> None:
    with pytest.raises(OutputError, match=r"\.html"):
        write_report(evaluation, evaluation / "page.pdf")


def test_a_full_disk_leaves_no_page(evaluation: Path) -> None:
    with files_of_at_most(1000), pytest.raises(OutputError, match="could not be written whole"):
        write_report(evaluation)

    assert not [of for of in evaluation.iterdir() if "html" in of.name]


DAMAGE: dict[str, tuple[str, str | bytes, str]] = {
    "no JSON at all": ("report.json", "{\n  broken", "report.json, line 2: no JSON"),
    "a list": ("report.json", "[]", "expected keys and values at the top"),
    "a number of many digits": ("report.json", "[" + "1" * 5000 + "]", "no JSON that can be read"),
    "nothing in it": ("report.json", "{}", "expected images, which is missing"),
    "a negative count": ("report.json", '{"images": -1}', "expected a whole number from 0 on"),
    "no text": ("report.json", b"\xff\xfe", "no text in UTF-8"),
    "nested beyond measure": ("report.json", "[" * 100_000, "no JSON that can be read"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_numbers_are_named(evaluation: Path, damage: str) -> None:
    file, content, message = DAMAGE[damage]
    (evaluation / file).write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(OutputError, match=message):
        write_report(evaluation)


CHANGES = {
    "answers": ({}, "at least one answer"),
    "images": ("three", "expected a whole number"),
    "protocol": (7, "expected a text at protocol"),
    "confusions": ({"local": [[1]]}, "to have 3 rows of 2 counts"),
    "per_image": (7, "expected a list at per_image"),
}


@pytest.mark.parametrize("key", CHANGES)
def test_numbers_that_do_not_fit_together_are_named(evaluation: Path, key: str) -> None:
    value, message = CHANGES[key]
    numbers = json.loads((evaluation / "report.json").read_text())
    (evaluation / "report.json").write_text(json.dumps({**numbers, key: value}))

    with pytest.raises(OutputError, match=message):
        write_report(evaluation)


def test_answers_of_other_classes_are_named(evaluation: Path) -> None:
    numbers = json.loads((evaluation / "report.json").read_text())
    numbers["answers"]["local"]["iou"] = {"else": 0.5}
    (evaluation / "report.json").write_text(json.dumps(numbers))

    with pytest.raises(OutputError, match="same classes in all answers"):
        write_report(evaluation)


def test_an_evaluation_without_classes_is_named(evaluation: Path) -> None:
    numbers = json.loads((evaluation / "report.json").read_text())
    for answer in numbers["answers"].values():
        answer["iou"] = {}
    (evaluation / "report.json").write_text(json.dumps(numbers))

    with pytest.raises(OutputError, match="at least one class"):
        write_report(evaluation)


def test_letters_that_are_none_become_question_marks(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "run", an_evaluation(("pond", "lake")))
    numbers = (folder / "report.json").read_text()
    (folder / "report.json").write_text(numbers.replace("pond", "a\\ud800"))

    assert "a?" in write_report(folder).read_text(encoding="utf-8")


def test_a_protocol_without_its_figures_is_named(evaluation: Path) -> None:
    numbers = json.loads((evaluation / "report.json").read_text())
    (evaluation / "report.json").write_text(json.dumps({**numbers, "protocol": "isic"}))

    with pytest.raises(OutputError, match="figures of the protocol isic"):
        write_report(evaluation)


def test_figures_that_differ_between_answers_are_named(evaluation: Path) -> None:
    numbers = json.loads((evaluation / "report.json").read_text())
    figures = {"local": {"overall": {"a": 1}}, "global": {"overall": {"b": 1}}}
    (evaluation / "report.json").write_text(json.dumps({**numbers, "figures": figures}))

    with pytest.raises(OutputError, match="same figures in all answers"):
        write_report(evaluation)


def test_images_without_the_models_own_answer_are_named(evaluation: Path) -> None:
    numbers = json.loads((evaluation / "report.json").read_text())
    del numbers["per_image"][1]["answers"]["aggregated"]
    (evaluation / "report.json").write_text(json.dumps(numbers))

    with pytest.raises(OutputError, match="expected the answer aggregated for image 1"):
        write_report(evaluation)


def test_a_damaged_history_is_named_with_its_line(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    with (folder / "history.csv").open("a") as file:
        file.write("context,one\n")

    with pytest.raises(OutputError, match=r"history\.csv, line 8"):
        write_report(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [1", "line 1: no YAML"),
        ("just words", "is no configuration"),
        ("data: 7", "expected keys and values at data"),
        ("stages: {local: {epochs: many}}", "expected a number at stages.local.epochs"),
    ],
)
def test_a_damaged_configuration_is_named(tmp_path: Path, content: str, message: str) -> None:
    folder = write_run(tmp_path / "run")
    (folder / "config.yaml").write_text(content)

    with pytest.raises(OutputError, match=message):
        write_report(folder)


def test_values_that_refer_to_each_other_are_not_written_out(
    tmp_path: Path, evaluation: Path
) -> None:
    folder = write_run(tmp_path / "run", stages=())
    doubled = "".join(f"k{k + 1}: &k{k + 1} [*k{k}, *k{k}]\n" for k in range(60))
    (folder / "config.yaml").write_text(f"k0: &k0 [1]\n{doubled}data: {{folder: *k60}}\n")
    numbers = json.loads((evaluation / "report.json").read_text())
    numbers["about"]["turns"] = [[1, 2], "flips"]
    (evaluation / "report.json").write_text(json.dumps(numbers))

    with pytest.raises(OutputError, match=r"expected a text at data\.folder, got a list"):
        write_report(folder)
    assert "turns ..., flips" in Seen(write_report(evaluation)).text


def test_a_folder_of_something_else_is_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()

    assert run("report", tmp_path / "photos") == 1

    line = only_line(capsys)
    assert "neither a training (config.yaml) nor an evaluation (report.json)" in line
    assert list((tmp_path / "photos").iterdir()) == []


@pytest.mark.parametrize("name", ["missing", "file.txt"])
def test_only_folders_are_runs(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file.txt").write_text("words")

    assert run("report", tmp_path / name) == 1

    assert "expected the folder of a training" in only_line(capsys)


def test_the_command_says_where_the_page_is(
    evaluation: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("report", evaluation) == 0

    out, err = capsys.readouterr()
    assert out.startswith(f"{evaluation / 'report.html'}: ")
    assert err == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_closed_to_us_is_named(evaluation: Path) -> None:
    evaluation.chmod(0o500)

    with pytest.raises(OutputError, match="not writable"):
        write_report(evaluation)
