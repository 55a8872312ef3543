"""Places for results: refused before the work, left as they were."""

import os
from pathlib import Path

import pytest

from glnet.errors import OutputError
from glnet.reproduction.output import require_output


def test_a_place_that_will_do_is_left_as_it_was(tmp_path: Path) -> None:
    require_output(tmp_path)
    require_output(tmp_path / "new" / "results")

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["file", "file/results"])
def test_a_file_is_no_place(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")

    with pytest.raises(OutputError, match=f"^{tmp_path / name} is a file, or lies below one; name"):
        require_output(tmp_path / name)

    assert (tmp_path / "file").read_text() == "mine"


def test_what_cannot_be_made_says_why_and_its_name_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", "the path again")

    monkeypatch.setattr(Path, "mkdir", fail)

    with pytest.raises(OutputError, match=r"results cannot be made: Read-only file system; choose"):
        require_output(tmp_path / "results")


def test_a_folder_that_may_not_be_written_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(OutputError, match="is not writable; choose another"):
        require_output(tmp_path / "results")

    assert not list(tmp_path.iterdir())
