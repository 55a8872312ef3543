from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from glnet.model.checkpoint import save_model
from glnet.raster import write_picture
from tests.inference.pictures import picture
from tests.model.tiny import tiny_model
from tests.raster.raster_files import write_tiff


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "model"
    save_model(tiny_model(), folder)
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    write_picture(path, picture(130, 170))
    return path


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A georeferenced GeoTIFF."""
    path = tmp_path / "scene.tif"
    pixels = np.moveaxis(picture(110, 140), 2, 0)
    place = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 400000, 0, -0.5, 5000000)}
    return write_tiff(path, pixels, **place)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A folder for results, to see that nothing is left in it."""
    folder = tmp_path / "output"
    folder.mkdir()
    return folder
