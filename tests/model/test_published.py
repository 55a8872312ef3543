"""Foreign files: what is read, and that nothing in them is run."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from glnet.data.deepglobe import PUBLISHED_CLASSES
from glnet.errors import CheckpointError, ConfigurationError
from glnet.model.published import convert_published, read_published


class _Bomb:
    """Unpickling it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_names_lose_their_prefix_and_tensors_come_whole(tmp_path: Path) -> None:
    torch.save({"module.a.module.b": torch.arange(3), "c": torch.ones(())}, tmp_path / "f.pth")

    state = read_published(tmp_path / "f.pth")

    assert list(state) == ["a.module.b", "c"]
    assert torch.equal(state["a.module.b"], torch.arange(3))


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_file_that_needs_code_is_refused_and_the_code_not_run(
    tmp_path: Path, is_zip: bool
) -> None:
    trace = tmp_path / "ran"
    path = tmp_path / "bomb.pth"
    torch.save({"a": _Bomb(trace)}, path, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(CheckpointError, match="refused, nothing was run"):
        read_published(path)
    assert not trace.exists()

    path.write_bytes(pickle.dumps(_Bomb(trace), protocol=2))
    with pytest.raises(CheckpointError, match="refused, nothing was run"):
        read_published(path)
    assert not trace.exists()


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("share", [0, 0.05, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, is_zip: bool, share: float) -> None:
    path = tmp_path / "half.pth"
    torch.save({"a": torch.zeros(5000)}, path, _use_new_zipfile_serialization=is_zip)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])

    with pytest.raises(CheckpointError, match=r"half\.pth"):
        read_published(path)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"hello", b"\x80\x02", b"PK\x03\x04"])
def test_files_of_another_kind_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(content)

    with pytest.raises(CheckpointError, match=r"other\.pth"):
        read_published(path)


@pytest.mark.parametrize(
    "content", [{"epoch": 3}, {"state_dict": {"a": torch.ones(1)}}, [torch.ones(1)], torch.ones(1)]
)
def test_files_that_hold_more_than_names_and_tensors_are_refused(
    tmp_path: Path, content: object
) -> None:
    torch.save(content, tmp_path / "f.pth")

    with pytest.raises(CheckpointError, match="expected names and tensors only"):
        read_published(tmp_path / "f.pth")


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.pth", tmp_path):
        with pytest.raises(CheckpointError, match="no such file"):
            read_published(path)


def test_one_to_three_files_make_a_model(tmp_path: Path) -> None:
    for number in (0, 4):
        with pytest.raises(CheckpointError, match=f"one to three published files, got {number}"):
            convert_published([tmp_path / "f.pth"] * number)


def _save(path: Path, state: dict[str, Tensor]) -> Path:
    torch.save({f"module.{name}": of for name, of in state.items()}, path)
    return path


@pytest.mark.parametrize(
    "state",
    [
        {"conv1.weight": torch.zeros(64, 3, 7, 7)},
        {"fpn_global.classify.bias": torch.zeros(7)},
        {"fpn_global.classify.bias": torch.zeros(7), "fpn_global.classify.weight": torch.ones(7)},
    ],
)
def test_other_networks_are_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    stranger = _save(tmp_path / "stranger.pth", state)

    for number in (1, 2):
        with pytest.raises(CheckpointError, match=r"stranger\.pth.* no published GLNet"):
            convert_published([stranger] * number)


def test_impossible_sizes_are_refused(tmp_path: Path) -> None:
    path = _save(tmp_path / "f.pth", {"fpn_global.classify.bias": torch.zeros(7)})

    with pytest.raises(ConfigurationError, match="thumbnail_size"):
        convert_published([path], thumbnail_size=20)


def test_deepglobe_classes_are_told_apart_by_their_colours() -> None:
    colours = np.array([of.color for of in PUBLISHED_CLASSES])

    assert len(PUBLISHED_CLASSES) == len(np.unique(colours, axis=0)) == 7
