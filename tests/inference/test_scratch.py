import errno
import gc
import os
from pathlib import Path

import pytest
import torch

from glnet.errors import OutputError, PredictionError
from glnet.inference import scratch as scratch_module
from glnet.inference.scratch import Scratch

CPU = torch.device("cpu")


def test_scores_come_back_as_they_went_in(tmp_path: Path) -> None:
    first, second = torch.randn(2, 3, 4, 5).unbind()

    with Scratch.alone(2, (3, 4, 5), tmp_path) as scratch:
        scratch.write([1], first[None])
        scratch.add([1], second[None])
        scratch.write([0], second.to(torch.bfloat16)[None])

        assert torch.equal(scratch.read(1, CPU), first + second)
        assert torch.equal(scratch.read(0, CPU), second.to(torch.bfloat16).float())
        assert (scratch.frame, scratch.classes) == (torch.Size((3, 4, 5)), 3)


def test_scores_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    scores = torch.zeros(1, 1, 2, 2)
    scores[0, 0, 1, 1] = torch.nan

    with Scratch.alone(1, (1, 2, 2), tmp_path) as scratch:
        with pytest.raises(PredictionError, match="not numbers"):
            scratch.write([0], scores)
        with pytest.raises(PredictionError, match="not numbers"):
            scratch.add([0], scores)
        assert torch.equal(scratch.read(0, CPU), torch.zeros(1, 2, 2))


def test_what_was_read_stays_when_the_file_changes(tmp_path: Path) -> None:
    with Scratch.alone(1, (1, 2, 2), tmp_path) as scratch:
        before = scratch.read(0, CPU)
        scratch.write([0], torch.ones(1, 1, 2, 2))

    assert torch.equal(before, torch.zeros(1, 2, 2))


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    with Scratch.alone(3, (1, 2, 2), tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="free some space or name another folder"):
        Scratch.alone(1, (1, 1, 1), tmp_path / "nowhere")


def test_a_full_disk_is_refused_before_any_work_and_nothing_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []

    def full(descriptor: int, size: int) -> None:
        opened.append(descriptor)
        raise OSError(errno.ENOSPC, f"no space for {size}")

    monkeypatch.setattr(scratch_module, "_reserve", full)

    with pytest.raises(OutputError, match="scratch file of 1 MiB"):
        Scratch.alone(4, (1, 256, 256), tmp_path)

    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_closing_twice_does_nothing(tmp_path: Path) -> None:
    scratch = Scratch.alone(1, (2, 3, 4), tmp_path)

    scratch.close()
    scratch.close()
