"""What one branch alone says, written as a label map."""

from pathlib import Path

import numpy as np
import pytest
import torch

from glnet.errors import ConfigurationError, OutputError
from glnet.inference.report import Unwatched
from glnet.inference.segment import segment_file, segment_files
from glnet.inference.settings import AnswerName, Settings
from glnet.inference.starting import Rules
from glnet.inference.streaming import predict
from glnet.model.answers import Answer
from glnet.raster import ArrayRaster, Palette, open_raster, write_picture
from glnet.raster.protocol import whole
from tests.cluster.fake_engine import fake_executor
from tests.inference.pictures import picture
from tests.model.tiny import tiny_model


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    write_picture(path, picture(130, 170))
    return path


@pytest.mark.parametrize("name", ["global", "local"])
def test_one_branch_alone_is_what_is_predicted_of_it(
    name: AnswerName, photo: Path, tmp_path: Path
) -> None:
    model, output = tiny_model(), tmp_path / "labels.tif"

    report = segment_file(photo, output, model, Settings(answer=name))

    raster = ArrayRaster(picture(130, 170))
    with predict(model, raster, Settings(), (Answer(name),)) as prediction:
        scores = prediction.scores(Answer(name), whole(raster), torch.device("cpu"))
    with open_raster(output, Palette.KEEP) as labels:
        assert np.array_equal(labels.read(whole(labels))[0], scores.argmax(dim=0).numpy())
    assert report.note is not None
    assert f"the {name} branch alone" in report.note


def test_a_branch_that_there_is_not_cannot_be_asked(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no local branch to ask alone"):
        segment_file(photo, tmp_path / "a.tif", tiny_model("global only"), Settings(answer="local"))
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_another_answer_is_another_run(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(Unwatched):
        def advances(self, phase: str, done: int, total: int) -> None:
            if phase == "writing" and 0 < done <= total:
                raise KeyboardInterrupt

    monkeypatch.setattr("glnet.inference.journal.SECONDS_BETWEEN_NOTES", 0)
    model, output = tiny_model(), tmp_path / "labels.tif"
    with pytest.raises(KeyboardInterrupt):
        segment_files([photo], output, model, Settings(answer="local"), watcher=Impatient())

    with pytest.raises(OutputError, match="answer was local, is None"):
        segment_file(photo, output, model, Settings(), rules=Rules(resume=True))
    segment_file(photo, output, model, Settings(answer="local"), rules=Rules(resume=True))

    alone = tmp_path / "alone.tif"
    segment_file(photo, alone, model, Settings(answer="local"))
    assert output.read_bytes() == alone.read_bytes()


@pytest.mark.parametrize("name", ["global", "local"])
def test_others_that_run_the_network_give_the_same_answer(
    name: AnswerName, photo: Path, tmp_path: Path
) -> None:
    settings, here, there = Settings(answer=name), tmp_path / "here.tif", tmp_path / "there.tif"
    segment_file(photo, here, tiny_model(), settings)

    with fake_executor() as executor:
        segment_files([photo], there, tiny_model(), settings, executor=executor)

    assert there.read_bytes() == here.read_bytes()
