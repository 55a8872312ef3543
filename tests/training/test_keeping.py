"""A run on a disk that fills up, and files that vanish while it reads them."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from glnet.data import SegmentationFolder
from glnet.errors import ConfigurationError, OutputError, RasterError
from glnet.training.config import TrainingConfig
from glnet.training.keeping import WholeCheckpoints
from glnet.training.preparation import Run
from glnet.training.progress import Moment
from glnet.training.run import train
from tests.training.tiny_run import tiny_config, write_scenes


def quiet(moment: Moment) -> None:
    """Hear nothing."""


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    return tiny_config(write_scenes(tmp_path / "data").root, tmp_path / "run", "global only")


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


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match="cannot make the folder"):
        WholeCheckpoints().save_checkpoint({}, tmp_path / "file" / "last.ckpt")


def test_a_log_that_finds_no_room_names_stage_and_folder(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CSVLogger, "save", _full)

    with pytest.raises(OutputError, match=r"stage context cannot go on in .*run: .*No space left"):
        train(config, quiet)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_file_that_vanishes_from_a_reading_process_is_named_without_traceback(
    config: TrainingConfig,
) -> None:
    images = Path(config.data.folder) / "images"

    def remove(_: Moment) -> None:
        for path in images.iterdir():
            path.unlink()

    data = replace(config.data, workers=1, cache_mib=0)
    context = replace(config.stages.context, epochs=2)
    stages = replace(config.stages, context=context)

    with pytest.raises(RasterError, match=r"^\S*\.png does not exist[^\n]*$"):
        train(replace(config, data=data, stages=stages), remove)


def test_weights_that_cannot_be_fetched_are_told(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glnet.training.preparation.new_model", _full)

    with pytest.raises(
        ConfigurationError, match=r"weights of test_resnet cannot be fetched.*false"
    ):
        Run(config, SegmentationFolder.open(config.data.folder))
