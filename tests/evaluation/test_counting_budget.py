"""What evaluation holds while it counts: strips, whatever the height of the image."""

import gc
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from glnet.data import DatasetDescription, IndexEncoding, Sample
from glnet.evaluation.evaluate import evaluate
from glnet.inference.streaming import Prediction, Settings
from tests.inference.pictures import picture
from tests.model.tiny import CLASSES, tiny_model
from tests.raster.raster_files import write_tiff

MODEL = tiny_model()
WIDTH, STRIP = 80, 16
LOW, TURNED_LOW = 256, 768
"""From here on, batches of patches and strips are full; of rasters that are laid on their side."""


class _Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The most elements of any tensor that an operation makes, of all and of float64 ones."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.elements = self.float64 = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        made = func(*args, **(kwargs or {}))
        for of in made if isinstance(made, tuple | list) else [made]:
            if isinstance(of, torch.Tensor):
                self.elements = max(self.elements, of.numel())
                if of.dtype == torch.float64:
                    self.float64 = max(self.float64, of.numel())
        return made


def _sample(folder: Path, height: int) -> Sample:
    """Tiled files, which are read window by window."""
    pixels = np.moveaxis(picture(height, WIDTH), 2, 0)
    labels = np.random.default_rng(0).integers(0, 3, (1, height, WIDTH), dtype=np.uint8)
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    image = write_tiff(folder / f"{height}.tif", pixels, **tiles)
    return Sample(f"{height}", image, write_tiff(folder / f"{height}_mask.tif", labels, **tiles))


def _measured(folder: Path, height: int, settings: Settings) -> tuple[_Largest, int]:
    """The tensors of an evaluation, and the most that Python and numpy held meanwhile."""
    sample, description = _sample(folder, height), DatasetDescription(CLASSES, IndexEncoding())
    # When Python collects cycles hangs on all that ran before; making the form leaves many.
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        with _Largest() as largest:
            evaluate(MODEL, [sample], description, settings)
        return largest, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()


# The last is in bytes per pixel that was added: notes on patches, fourfold with four ways.
# A map of labels would add 1 to what is measured (0.7 and 1.6), a map of float32 scores 12.
@pytest.mark.parametrize(
    ("settings", "low", "high", "most"),
    [(Settings(), LOW, 1280, 1.0), (Settings(turns="quarters"), TURNED_LOW, 1280, 2.0)],
)
def test_nothing_that_is_held_grows_with_the_height(
    settings: Settings,
    low: int,
    high: int,
    most: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Prediction, "strip_height", lambda _: STRIP)
    monkeypatch.setattr("glnet.raster.strips.STRIP_BYTES", 3 * WIDTH * 64)
    _measured(tmp_path, LOW, Settings())  # What is made once is made.

    of_low, held_low = _measured(tmp_path, low, settings)
    of_high, held_high = _measured(tmp_path, high, settings)

    assert of_high.elements == of_low.elements
    # Sampling matrices along an axis, beside the kernels multiplied out; never a map.
    assert of_high.float64 - of_low.float64 < WIDTH * (high - low) / 10
    assert held_high - held_low < most * WIDTH * (high - low)
