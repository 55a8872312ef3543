"""The overlay picture is within what is estimated of it, and counts where it is asked for."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from glnet.errors import ConfigurationError
from glnet.geometry import strips
from glnet.inference.estimate import estimate
from glnet.inference.host_memory import Beside
from glnet.inference.jobs import Extras
from glnet.inference.overlay import LabelPicture, overlay_bytes
from glnet.inference.segment import segment_file
from glnet.inference.settings import Settings
from glnet.raster import ArrayRaster, open_raster, write_picture
from tests.inference.pictures import picture
from tests.model.tiny import CLASSES, tiny_model
from tests.raster.raster_files import write_tiff


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((2300, 2300, 3), "uint8"),
        ((2300, 2300, 1), "uint16"),
        ((1500, 3000, 3), "float32"),
        ((1600, 1600, 8), "float64"),
    ],
)
def test_drawing_takes_no_more_than_was_estimated(
    shape: tuple[int, int, int], dtype: str, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)
    raster = ArrayRaster(pixels)
    labels = (pixels[..., 0] > 128).astype(np.uint8)

    tracemalloc.start()
    try:
        collected = LabelPicture(raster.size)
        for strip in strips(raster.size, 512):
            collected.add(strip, labels[strip.slices])
        drawn = collected.over(raster, [info.color for info in CLASSES])
        write_picture(tmp_path / "drawn.png", drawn)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < overlay_bytes(raster) < 2 * peak


def test_the_picture_counts_where_it_is_asked_for(tmp_path: Path) -> None:
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(picture(300, 310), 2, 0), tiled=True)
    model, least = tiny_model(), Settings(patch_batch=1, keeps_weights=False, ahead=0)
    with open_raster(image) as raster:
        size, drawn = raster.size, overlay_bytes(raster)
    alone = estimate(model, size, least).host_bytes
    both = estimate(model, size, least, beside=Beside(drawn)).host_bytes
    assert both == alone + drawn

    within = Settings(host_memory=both - 1)
    segment_file(image, tmp_path / "labels.tif", model, within)
    with pytest.raises(ConfigurationError, match="needs at least"):
        segment_file(image, tmp_path / "b.tif", model, within, extras=Extras(overlay=True))
    assert not (tmp_path / "b.tif").exists()

    enough = Settings(host_memory=both)
    segment_file(image, tmp_path / "b.tif", model, enough, extras=Extras(overlay=True))
    assert (tmp_path / "b_overlay.png").exists()
