"""Nothing large waits for Python to look for cycles: it would be held long after its use."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from glnet.inference.segment import segment_file
from glnet.inference.settings import Settings
from glnet.model.checkpoint import load_model, save_model
from glnet.model.folding import folded
from glnet.model.glnet import required
from tests.inference.pictures import picture
from tests.model.tiny import tiny_model
from tests.raster.raster_files import write_tiff


@contextmanager
def _cycles() -> Iterator[list[torch.Tensor]]:
    """Filled in the end with the tensors that only the search for cycles has found."""
    found: list[torch.Tensor] = []
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found += [of for of in gc.garbage if isinstance(of, torch.Tensor) and not of.is_meta]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_tensors_in_a_cycle_are_seen() -> None:
    with _cycles() as found:
        cycle: list[object] = [torch.zeros(3)]
        cycle.append(cycle)
        del cycle
    assert len(found) == 1


def test_what_was_folded_is_let_go_at_once() -> None:
    """The weights of a ResNet-50's branch are 100 MiB."""
    backbone = required(tiny_model(backbone="resnet18").network.local, "local").backbone
    with _cycles() as found:
        folded(backbone, 3)
    assert not found


@pytest.mark.parametrize("keeps", [True, False])
def test_a_segmentation_leaves_nothing(keeps: bool, tmp_path: Path) -> None:
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(picture(130, 140), 2, 0))
    save_model(tiny_model(), tmp_path / "model")
    with _cycles() as found:
        settings = Settings(patch_batch=2, keeps_weights=keeps)
        segment_file(image, tmp_path / "labels.tif", tmp_path / "model", settings)
    assert not found


def test_a_model_that_is_loaded_leaves_nothing(tmp_path: Path) -> None:
    save_model(tiny_model(), tmp_path / "model")
    with _cycles() as found:
        load_model(tmp_path / "model")
    assert not found
