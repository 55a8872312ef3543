"""Configurations that extend others."""

from pathlib import Path

import pytest

from glnet.errors import ConfigurationError
from glnet.training.config import CoarseToFineTraining
from glnet.training.config_file import read_config

BASE = "data: {folder: here}\noutput: out\nloss: {gamma: 2.0, auxiliary: 0.5}\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_own_keys_win_and_the_others_stay(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", BASE)
    row = write(tmp_path, "row.yaml", "extends: base.yaml\nloss: {gamma: 3.0}\n")

    config = read_config(row)

    assert (config.loss.gamma, config.loss.auxiliary, config.data.folder) == (3.0, 0.5, "here")


@pytest.mark.parametrize(
    ("base", "own", "expected"),
    [
        ("{ratio: 2.0}", "{boxes: each}", CoarseToFineTraining(ratio=2.0, boxes="each")),
        ("{ratio: 2.0}", "null", None),
        ("null", "{ratio: 2.0}", CoarseToFineTraining(ratio=2.0)),
    ],
)
def test_coarse_to_fine_can_be_changed_given_and_taken_back(
    tmp_path: Path, base: str, own: str, expected: CoarseToFineTraining | None
) -> None:
    write(tmp_path, "base.yaml", f"{BASE}coarse_to_fine: {base}\n")
    row = write(tmp_path, "row.yaml", f"extends: base.yaml\ncoarse_to_fine: {own}\n")

    assert read_config(row).coarse_to_fine == expected


def test_what_is_typed_wins_over_all_files(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", BASE)
    row = write(tmp_path, "row.yaml", "extends: base.yaml\nloss: {gamma: 3.0}\n")

    assert read_config(row, ["--loss.gamma", "4"]).loss.gamma == 4.0


def test_an_extended_file_may_extend_another_relative_to_itself(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", BASE)
    write(tmp_path, "middle/row.yaml", "extends: ../base.yaml\nloss: {gamma: 3.0}\n")
    top = write(tmp_path, "top.yaml", "extends: middle/row.yaml\nloss: {auxiliary: 0.25}\n")

    loss = read_config(top).loss

    assert (loss.gamma, loss.auxiliary) == (3.0, 0.25)


def test_a_description_is_found_beside_the_file_that_names_it(tmp_path: Path) -> None:
    description = write(tmp_path, "common/dataset.yaml", "")
    write(tmp_path, "common/base.yaml", BASE.replace("here", "here, description: dataset.yaml"))
    row = write(tmp_path, "row.yaml", "extends: common/base.yaml\n")

    named = read_config(row).data.description

    assert named is not None
    assert Path(named) == description


def test_a_circle_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "extends: b.yaml\n")
    file = write(tmp_path, "b.yaml", "extends: a.yaml\n")

    with pytest.raises(ConfigurationError, match="extends it again"):
        read_config(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [("extends: 3\n", "names one file"), ("extends: gone.yaml\n", "no such configuration file")],
)
def test_what_cannot_be_extended_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_config(write(tmp_path, "row.yaml", text))


def test_an_unknown_key_of_an_extended_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", BASE + "lass: 3\n")
    row = write(tmp_path, "row.yaml", "extends: base.yaml\n")

    with pytest.raises(ConfigurationError, match="unknown key lass"):
        read_config(row)
