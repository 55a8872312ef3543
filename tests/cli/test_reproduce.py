"""``glnet reproduce``: one line for what cannot be, a folder for what can."""

import csv
from pathlib import Path

import pytest

from glnet.data import SceneSettings, write_dataset
from glnet.geometry import Size
from tests.cli.commands import only_line, run

Captured = pytest.CaptureFixture[str]

TINY = [
    word
    for change in (
        "architecture.backbone=resnet10t",
        "architecture.fpn_width=8",
        "architecture.refined_width=8",
        "framing.patch_size=64",
        "framing.thumbnail_size=64",
        "stages.context.epochs=1",
        "stages.local.epochs=1",
        "stages.local.patches=2",
        "stages.refined.epochs=1",
    )
    for word in ("--set", change)
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "data"
    return write_dataset(folder, SceneSettings(Size(96, 128)), {"train": 2, "validation": 1}).root


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_table_is_made_and_its_trainings_serve_a_figure(
    data: Path, tmp_path: Path, capfd: Captured
) -> None:
    words = ("--data", data, "--quick", "--output", tmp_path, *TINY)

    assert run("reproduce", "table6", *words) == 0
    assert run("reproduce", "fig3", *words) == 0

    out, err = capfd.readouterr()
    assert str(tmp_path / "table6" / "table.md") in out
    assert "Table 6" in out
    assert "paper's" in out
    assert "Figure 3" in out
    assert max(map(len, out.splitlines())) <= max(80, len(str(tmp_path)) + 24)
    # The figure shows what the table trained.
    assert err.count("training") == 4
    rows = _rows(tmp_path / "table6")
    assert [row["key"] for row in rows] == ["global_only", "local_only", "bidirectional"]
    assert all(0 <= float(row["mIoU (%)"]) <= 100 for row in rows)
    names = sorted(path.name for path in (tmp_path / "fig3").iterdir())
    assert names == ["figure.csv", "figure.md", "validation_000.png"]


def test_memory_leaves_rows_out_and_is_no_failure(
    data: Path, tmp_path: Path, capfd: Captured
) -> None:
    words = ("--data", data, "--quick", "--output", tmp_path, "--memory", "1MiB", *TINY)

    assert run("reproduce", "table6", *words) == 0

    assert capfd.readouterr().err.count("left out: ") == 3
    assert "skipped: takes" in (tmp_path / "table6" / "table.md").read_text()


def test_datasets_of_one_name_are_two_rows_and_two_of_one_kind_are_refused(
    data: Path, tmp_path: Path, capfd: Captured
) -> None:
    output = tmp_path / "new" / "tables"
    assert run("reproduce", "table1", "--data", data, data, "--output", output) == 0
    capfd.readouterr()

    status = run("reproduce", "table1", "--data", "isic=a", "isic=b", "--output", tmp_path)

    assert status == 1
    assert "two datasets of kind isic" in only_line(capfd)


def test_datasets_are_counted(data: Path, tmp_path: Path, capfd: Captured) -> None:
    status = run("reproduce", "table1", "--data", data, "isic=/no", "--output", tmp_path)

    assert status == 1
    assert "left out: /no does not exist" in capfd.readouterr().err
    rows = _rows(tmp_path / "table1")
    assert [row["images"] for row in rows if row["label"] == data.name] == ["3.0"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["table9"], "known: table1, table2"),
        (["table2", "--data", "a", "b"], "made of one dataset, got 2"),
        (["table2", "--set", "run.seed"], "--set is KEY=VALUE"),
        (["table2", "--set", "no.such=1"], "unknown key no"),
        (["table2", "--seeds", "0"], "seeds"),
        (["table2", "--memory", "much"], "GiB"),
        (["table2", "--protocol", "best"], "best"),
        (["table2", "--data", "/no"], "/no does not exist"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    words: list[str], says: str, data: Path, tmp_path: Path, capfd: Captured
) -> None:
    given = [] if "--data" in words else ["--data", str(data)]

    status = run("reproduce", *words, *given, "--quick", "--output", tmp_path / "out")

    assert status == 1
    assert says in only_line(capfd)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["table1", "table6"])
def test_a_file_for_an_output_is_refused_before_any_work(
    name: str, data: Path, tmp_path: Path, capfd: Captured
) -> None:
    (tmp_path / "file").touch()

    status = run("reproduce", name, "--data", data, "--quick", "--output", tmp_path / "file")

    assert status == 1
    assert only_line(capfd).endswith("is a file, or lies below one; name a folder")
