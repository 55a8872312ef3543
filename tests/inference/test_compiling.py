"""Compiling changes no answer, and costs a line where it fails."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from glnet.errors import ConfigurationError
from glnet.geometry import Window
from glnet.inference.forming import Formed, form_of
from glnet.inference.segment import segment_file
from glnet.inference.settings import Settings
from glnet.inference.streaming import Answer, predict
from glnet.raster import open_raster
from glnet.raster.protocol import whole
from tests.inference.pictures import picture, raster
from tests.model.tiny import tiny_model
from tests.raster.raster_files import write_tiff

CPU = torch.device("cpu")

Run = Callable[[Tensor], object]


class _Batches:
    """Stands for torch.compile: notes the sizes of the batches that reach what it has made."""

    def __init__(self) -> None:
        self.made = 0
        self.sizes: list[int] = []

    def __call__(self, run: Run, *, dynamic: bool) -> Run:
        assert not dynamic
        self.made += 1

        def compiled(pixels: Tensor) -> object:
            self.sizes.append(len(pixels))
            return run(pixels)

        return compiled


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> _Batches:
    noting = _Batches()
    monkeypatch.setattr(torch, "compile", noting)
    return noting


def _without_compiler(run: Run, *, dynamic: bool) -> Run:
    del run, dynamic

    def compiled(pixels: Tensor) -> object:
        del pixels
        raise RuntimeError("no compiler here\nand much more to say about it")

    return compiled


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_compiled_labels_are_those_of_the_network_as_it_is() -> None:
    model, image = tiny_model(), raster(100, 150)
    everything = Window(0, 0, image.size)

    def scores(settings: Settings) -> tuple[Tensor, Formed]:
        formed = form_of(model, settings)
        with predict(model, image, settings, form=formed.form) as prediction:
            return prediction.scores(Answer.AGGREGATED, everything, CPU), formed

    plain, _ = scores(Settings(patch_batch=4))
    compiled, formed = scores(Settings(patch_batch=4, compile=True))

    assert formed.note is None
    assert formed.is_compiled
    torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-5)
    assert torch.equal(compiled.argmax(dim=0), plain.argmax(dim=0))


@pytest.mark.parametrize("keeps_weights", [True, False])
@pytest.mark.parametrize("collapse", [True, False])
def test_one_branch_is_compiled_once_for_its_largest_batch(
    collapse: bool, keeps_weights: bool, batches: _Batches
) -> None:
    """Of three images, the first has 1 patch and the others 6; 4 of them run at once."""
    model = tiny_model()
    settings = Settings(compile=True, collapse=collapse, keeps_weights=keeps_weights)
    form = form_of(model, settings).form

    for size in ((50, 60), (100, 150), (100, 150)):
        image = raster(*size)
        patches = len(model.config.framing.grid(image.size))
        predict(model, image, settings, form=form).close()

    assert patches == 6
    assert batches.made == 1
    assert batches.sizes == [1, 4, 4]


def test_without_patches_the_thumbnail_is_what_runs_most(batches: _Batches) -> None:
    predict(tiny_model("global only"), raster(100, 150), Settings(compile=True)).close()

    assert batches.sizes == [1]


def test_the_model_is_left_as_it_was(batches: _Batches) -> None:
    for collapse in (True, False):
        model = tiny_model()
        names = [name for name, _ in model.network.named_modules()]
        predict(model, raster(64, 64), Settings(compile=True, collapse=collapse)).close()
        assert [name for name, _ in model.network.named_modules()] == names
    assert batches.made == 2


def test_what_cannot_be_compiled_runs_as_it_is_and_the_report_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(picture(130, 150), 2, 0))
    model, labels = tiny_model(), tmp_path / "labels.tif"
    expected = segment_file(image, tmp_path / "plain.tif", model, Settings(patch_batch=2))
    monkeypatch.setattr(torch, "compile", _without_compiler)

    report = segment_file(image, labels, model, Settings(patch_batch=2, compile=True))

    assert (report.compiled, report.form) == (False, "collapsed")
    assert report.note == "computed without --compile, which failed: no compiler here"
    assert expected.note is None
    with open_raster(labels) as found, open_raster(tmp_path / "plain.tif") as plain:
        np.testing.assert_array_equal(found.read(whole(found)), plain.read(whole(plain)))


def test_the_report_names_what_is_compiled(tmp_path: Path, batches: _Batches) -> None:
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(picture(130, 150), 2, 0))

    report = segment_file(image, tmp_path / "a_labels.tif", tiny_model(), Settings(compile=True))

    assert batches.sizes
    assert (report.compiled, report.note) == (True, None)


def test_compiling_beside_a_budget_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="leave out either --compile or --memory"):
        Settings(compile=True, memory=2**30)
    with pytest.raises(ConfigurationError, match="leave out either --compile or --memory"):
        Settings(compile=True, host_memory=2**30)
