"""A raster of other numbers than the training's is told; others are not."""

from pathlib import Path

import numpy as np
import pytest

from glnet.inference.segment import segment_file
from glnet.inference.settings import Settings
from glnet.inference.unlike import unlike_training
from glnet.model.config import Normalization
from glnet.raster import ArrayRaster
from tests.inference.pictures import picture
from tests.model.tiny import tiny_model
from tests.raster.raster_files import write_tiff

TRAINING = Normalization((120.0, 130.0, 110.0), (50.0, 40.0, 60.0))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_any_picture_of_eight_bits_is_like_pictures(level: int) -> None:
    assert unlike_training(ArrayRaster(np.full((90, 200, 3), level, np.uint8)), TRAINING) is None


def test_other_numbers_are_told_with_the_band_that_is_furthest() -> None:
    pixels = picture(300, 400).astype(np.uint16)
    pixels[..., 1] *= 257
    told = unlike_training(ArrayRaster(pixels), TRAINING)
    assert told is not None
    assert told.startswith("numbers of band 2 are around ")
    assert "those of the training were 130 +- 40" in told


def test_a_bright_corner_and_what_is_no_number_do_not_count() -> None:
    pixels = picture(300, 400).astype(np.float32)
    pixels[:120, :150] = 1e6
    pixels[200:, 300:] = np.nan
    assert unlike_training(ArrayRaster(pixels), TRAINING) is None
    assert unlike_training(ArrayRaster(np.full((50, 60, 3), np.nan, np.float32)), TRAINING) is None


def test_the_report_of_a_scene_says_so(tmp_path: Path) -> None:
    planes = np.moveaxis(picture(90, 110), 2, 0)
    notes = []
    for name, pixels in (("like", planes), ("unlike", planes.astype(np.uint16) * 257)):
        image = write_tiff(tmp_path / f"{name}.tif", pixels)
        report = segment_file(image, tmp_path / f"{name}_labels.tif", tiny_model(), Settings())
        notes.append(report.note)
    assert notes[0] is None
    assert notes[1] is not None
    assert "is this model for such images?" in notes[1]
