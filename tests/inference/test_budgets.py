"""What a prediction reads and keeps, as rasters grow."""

import gc
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from glnet.geometry import Window
from glnet.inference import scratch
from glnet.inference.streaming import Answer, Settings, predict
from glnet.raster import ArrayRaster, strips
from tests.inference.pictures import picture, raster
from tests.model.tiny import ALL_ANSWERS, tiny_model

SMALL, LARGE = (112, 112), (448, 448)
"""4 and 81 patches of 64 px that overlap by 16."""


class _CountingRaster(ArrayRaster):
    """Remembers which windows were read."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        super().__init__(array)
        self.windows: list[Window] = []

    def read(self, window: Window) -> NDArray[Any]:
        self.windows.append(window)
        return super().read(window)


def test_every_patch_is_read_once_after_one_pass_for_the_thumbnail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(strips, "STRIP_BYTES", 100_000)
    model = tiny_model()
    counted = _CountingRaster(picture(300, 260))
    patches = list(model.config.framing.grid(counted.size))

    predict(model, counted, Settings(), ALL_ANSWERS).close()

    strip_windows = counted.windows[: -len(patches)]
    assert counted.windows[-len(patches) :] == patches
    assert [row for of in strip_windows for row in range(of.row, of.row_stop)] == list(range(300))
    assert all(of.column == 0 and of.size.width == 260 for of in strip_windows)
    assert len(strip_windows) > 1


def _live_bytes() -> int:
    """Of all tensors that Python can reach, every storage once."""
    gc.collect()
    storages = {
        of.untyped_storage().data_ptr(): of.untyped_storage().nbytes()
        for of in gc.get_objects()
        if issubclass(type(of), torch.Tensor)  # isinstance would ask every object, which may warn
    }
    return sum(storages.values())


def _live_at_the_last_patch(size: tuple[int, int]) -> tuple[int, int]:
    """How many patches there are, and what lives while the last batch of them is at hand."""
    live: dict[int, int] = {}

    def note(_: str, done: int, total: int) -> None:
        if done == total:
            live[total] = _live_bytes()

    predict(tiny_model(), raster(*size), Settings(patch_batch=1), ALL_ANSWERS, note).close()
    return live.popitem()


def test_no_feature_map_is_kept_per_patch() -> None:
    few, before = _live_at_the_last_patch(SMALL)
    many, after = _live_at_the_last_patch(LARGE)

    fused = 4 * 16 * 16 * 16  # bytes of the fused map of a patch, the published trouble
    assert (few, many) == (4, 81)
    assert after - before < 0.1 * (many - few) * fused


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_scratch_holds_the_wanted_class_scores_at_stride_4_and_nothing_else(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model()
    sizes: list[int] = []
    monkeypatch.setattr(scratch, "_reserve", _noting(sizes))

    predict(model, raster(*size), Settings(), (Answer.GLOBAL, Answer.AGGREGATED)).close()

    patches = len(model.config.framing.grid(raster(*size).size))
    assert sizes == [4 * patches * 3 * 16 * 16, 4 * 3 * 16 * 16]


def _noting(sizes: list[int]) -> Any:  # noqa: ANN401
    reserve = scratch._reserve

    def note(descriptor: int, size: int) -> None:
        sizes.append(size)
        reserve(descriptor, size)

    return note


def test_global_answers_alone_read_no_patch() -> None:
    counted = _CountingRaster(picture(100, 90))

    predict(tiny_model("deep"), counted, Settings(), (Answer.GLOBAL,)).close()

    assert [of.size for of in counted.windows] == [counted.size]
