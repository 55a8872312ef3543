"""Checkpoints are whole or not there, whatever the disk does; what is damaged is named."""

import errno
import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from glnet.errors import CheckpointError, OutputError, RasterError
from glnet.training.config import TrainingConfig
from glnet.training.keeping import WholeCheckpoints, read_checkpoint
from glnet.training.progress import Moment
from glnet.training.run import Watchers, train
from tests.training.tiny_run import QUIET, tiny_config, with_run, with_stages, write_scenes

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("data")).root


@pytest.fixture
def config(data: Path, tmp_path: Path) -> TrainingConfig:
    return with_run(tiny_config(data, tmp_path / "run", "global only"), checkpoint_minutes=0.0)


def _full(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_checkpoint_reads_as_it_was_and_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.ckpt"

    for epoch in (1, 2):
        WholeCheckpoints().save_checkpoint({"epoch": epoch, "state": torch.arange(3)}, path)

    assert [of.name for of in path.parent.iterdir()] == ["last.ckpt"]
    assert torch.load(path)["epoch"] == 2


def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"epoch": 1}, path)
    monkeypatch.setattr(Path, "write_bytes", _full)

    with pytest.raises(OutputError, match=r"last\.ckpt could not be written.*No space left"):
        WholeCheckpoints().save_checkpoint({"epoch": 2}, path)

    assert [of.name for of in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(path) == {"epoch": 1}


def test_a_disk_that_fills_up_in_a_run_leaves_what_it_can_go_on_from(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = with_stages(config, "context", images=1)

    def fill(phase: str, done: int, _: int) -> None:
        if (phase, done) == ("context", 2):
            monkeypatch.setattr(Path, "write_bytes", _full)

    with pytest.raises(OutputError, match=r"checkpoints/context/\w+\.ckpt could not be written"):
        train(steps, Watchers(lambda _: None, fill))

    (kept,) = (Path(config.output) / "checkpoints" / "context").iterdir()
    assert kept.name == "last.ckpt"
    assert read_checkpoint(kept)["global_step"] == 1
    monkeypatch.undo()
    train(steps, QUIET, resume=True)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match="cannot make the folder"):
        WholeCheckpoints().save_checkpoint({}, tmp_path / "file" / "last.ckpt")


def _other_file() -> bytes:
    file = io.BytesIO()
    torch.save({"epoch": 1}, file)
    return file.getvalue()


class Harmful:
    """What unpickling would run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("a checkpoint was executed",)


def _harmful_file() -> bytes:
    file = io.BytesIO()
    torch.save(Harmful(), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is damaged"),
        (b"hello", "is damaged"),
        (_other_file()[:-50], "is damaged"),
        (_harmful_file(), "is damaged"),
        (_other_file(), "is no checkpoint of a training"),
    ],
    ids=["empty", "text", "cut short", "harmful", "foreign"],
)
def test_a_damaged_checkpoint_is_told_in_one_line(
    config: TrainingConfig, content: bytes, said: str
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, Watchers(stop))
    last = Path(config.output) / "checkpoints" / "context" / "last.ckpt"
    last.parent.mkdir(parents=True, exist_ok=True)
    last.write_bytes(content)

    with pytest.raises(CheckpointError, match=said) as refusal:
        train(config, QUIET, resume=True)

    told = str(refusal.value)
    assert told.startswith(str(last))
    assert told.endswith("; remove it, and its stage begins anew with --resume")
    assert "\n" not in told
    last.unlink()
    train(config, QUIET, resume=True)


def test_a_log_that_finds_no_room_names_stage_and_folder(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TensorBoardLogger, "log_metrics", _full)

    with pytest.raises(OutputError, match=r"stage context cannot go on in .*run: .*No space left"):
        train(config, QUIET)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_file_that_vanishes_from_a_reading_process_is_named_without_traceback(
    tmp_path: Path,
) -> None:
    data = write_scenes(tmp_path / "data").root
    config = with_stages(tiny_config(data, tmp_path / "run", "global only"), "context", epochs=2)

    def remove(_: Moment) -> None:
        for path in (data / "images").iterdir():
            path.unlink()

    several = replace(config, data=replace(config.data, workers=1, cache_mib=0))
    with pytest.raises(RasterError, match=r"^\S*\.png does not exist[^\n]*$"):
        train(several, Watchers(remove))
