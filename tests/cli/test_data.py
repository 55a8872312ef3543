"""``glnet data check`` as users type it."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import only_line, run
from tests.data.downloads import blocks, deepglobe, isic, photo
from tests.data.labelled_folder import INDEX_YAML, write_folder, write_image, write_mask


def test_a_healthy_folder_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "check", write_folder(tmp_path)) == 0

    out, err = capsys.readouterr()
    assert err == ""
    assert "no faults found" in out
    for word in ("train", "validation", "48x48", "% soil", "% carrot", "% weed", "3 uint8"):
        assert word in out


def test_the_table_is_80_columns_wide_at_most(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("data", "check", deepglobe(tmp_path / "deep"), "--dataset", "deepglobe-published")

    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if not line.startswith(("fault", "note"))]
    assert len(table) > 10
    assert max(map(len, table)) <= 80
    assert not any("…" in line for line in table)


def test_faults_are_told_by_kind_and_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stems = "abcdefgh"
    write_folder(tmp_path, "classes: [soil, carrot, weed]", stems)
    for stem in stems:
        write_mask(tmp_path, stem, photo(blocks(0, 3)))

    assert run("data", "check", tmp_path) == 1

    out = capsys.readouterr().out
    assert out.count("fault (encoding): ") == 6
    assert "fault (encoding): and 3 more like these; --json lists all" in out
    assert out.rstrip().endswith("8 faults found")


def test_json_has_every_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path)
    write_mask(tmp_path, "a", blocks(0, 3, 40, 40))

    assert run("data", "check", tmp_path, "--json") == 1

    report = json.loads(capsys.readouterr().out)
    assert [fault["files"] for fault in report["faults"]] == [[str(tmp_path / "masks/a.png")]]
    assert report["splits"]["validation"]["images"] == 1
    assert list(report["splits"]["all"]["pixels"]) == ["soil", "carrot", "weed"]


def test_a_missing_description_is_proposed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("data", "check", write_folder(tmp_path, yaml=None)) == 0

    out = capsys.readouterr().out
    assert "fill in the names" in out
    assert "mask: {encoding: index}" in out


def test_a_description_may_lie_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path / "data", yaml=None)
    (tmp_path / "mine.yaml").write_text(INDEX_YAML)

    assert run("data", "check", tmp_path / "data", "--description", tmp_path / "mine.yaml") == 0

    assert "carrot" in capsys.readouterr().out


def test_a_sheet_is_drawn_and_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("data", "check", isic(tmp_path), "--dataset", "isic", "--sheet", tmp_path / "s.png")

    assert run(*words) == 1  # Three images are too few for three splits.
    assert f"the contact sheet is {tmp_path / 's.png'}" in capsys.readouterr().out
    assert run(*words) == 1
    assert "exists" in only_line(capsys)
    assert run(*words, "--overwrite") == 1
    assert "the contact sheet is" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data"], "expected: glnet data check FOLDER"),
        (["data", "check"], "expected: glnet data check FOLDER"),
        (["data", "chekc"], "expected: glnet data check FOLDER"),
        (["data", "folder"], "got 'folder' in the place of check"),
        (["data", "check", "nowhere"], "nowhere does not exist; expected the folder"),
        (["data", "check", ".", "--dataset", "deepglob"], "'deepglobe', 'deepglobe-published'"),
        (["data", "check", ".", "--datset", "isic"], "did you mean --dataset"),
        (["data", "check", ".", "--description", "no.yaml"], "no.yaml does not exist"),
        (["data", "check", ".", "--dataset", "isic", "--description", "a.yaml"], "leave yours out"),
        (["data", "check", ".", "--sheet", "sheet.pdf"], "must end in one of .png"),
    ],
)
def test_mistakes_are_told_in_one_line(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    assert run(*words) == 1

    assert message in only_line(capsys)


def test_rubbish_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rubbish = [tmp_path / name for name in ("empty", "texts", "archive", "file.zip")]
    for folder in rubbish[:3]:
        folder.mkdir()
    (rubbish[1] / "readme.txt").write_text("hello")
    (rubbish[2] / "data.zip").touch()
    rubbish[3].touch()

    said = []
    for folder in rubbish:
        assert run("data", "check", folder) == 1
        said.append(only_line(capsys))

    assert said[0].endswith("found nothing")
    assert said[1].endswith("found readme.txt")
    assert "unpack data.zip first" in said[2]
    assert "is an archive; unpack it" in said[3]


def test_a_truncated_image_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_image(write_folder(tmp_path), "b", blocks(0, 3, 400, 400))
    write_mask(tmp_path, "b", blocks(0, 3, 400, 400))
    path.write_bytes(path.read_bytes()[:-3000])

    assert run("data", "check", tmp_path) == 1

    assert f"fault (unreadable): {path}" in capsys.readouterr().out
