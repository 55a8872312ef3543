from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from glnet.errors import OutputError
from glnet.geometry import Size, Window, blocks
from glnet.raster import ScoreWriter, encode_scores, open_raster
from glnet.raster.gdal import gdal_settings


def random_scores(bands: int, height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(height).random((bands, height, width), dtype=np.float32)


def read_bytes(path: Path) -> NDArray[Any]:
    with gdal_settings(), rasterio.open(path) as file:
        return np.asarray(file.read())


@pytest.mark.parametrize("cog", [False, True])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bands=st.integers(1, 10),
    height=st.integers(1, 600),
    width=st.integers(1, 300),
    rows=st.integers(1, 300),
)
def test_what_is_written_in_strips_is_read_back(
    tmp_path: Path, cog: bool, bands: int, height: int, width: int, rows: int
) -> None:
    path = tmp_path / "a.tif"
    scores = random_scores(bands, height, width)
    names, size = [str(band) for band in range(bands)], Size(height, width)

    with ScoreWriter(path, size, band_names=names, cog=cog, overwrite=True) as writer:
        for row in range(0, height, rows):
            writer.write(scores[:, row : row + rows])

    assert np.array_equal(read_bytes(path), encode_scores(scores))


@given(st.integers(0, 254))
def test_a_byte_is_a_probability_in_steps_of_one_in_254(step: int) -> None:
    (((encoded,),),) = encode_scores(np.full((1, 1, 1), step / 254, dtype=np.float32))

    assert encoded == step


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rounding_is_to_the_nearest_and_stays_inside(dtype: type[np.floating[Any]]) -> None:
    scores = np.array([0, 0.0019, 0.0021, 0.5, 1, 1.0009, -0.0009, np.nan], dtype=dtype)

    assert encode_scores(scores.reshape(1, 1, 8)).tolist() == [[[0, 0, 1, 127, 254, 254, 0, 255]]]


def test_invalid_pixels_are_nodata_in_every_band(tmp_path: Path) -> None:
    scores = random_scores(3, 40, 30)
    valid = random_scores(1, 40, 30)[0] > 0.3
    with ScoreWriter(tmp_path / "a.tif", Size(40, 30), band_names="abc") as writer:
        writer.write(scores, valid)

    stored = read_bytes(tmp_path / "a.tif")

    assert np.array_equal(stored == 255, np.broadcast_to(~valid, stored.shape))
    with gdal_settings(), rasterio.open(tmp_path / "a.tif") as file:
        assert np.array_equal(file.read_masks(2) > 0, valid)


def test_encoded_rows_may_be_written_too(tmp_path: Path) -> None:
    scores = random_scores(2, 50, 40)

    with ScoreWriter(tmp_path / "a.tif", Size(50, 40), band_names="ab") as writer:
        writer.write_encoded(encode_scores(scores))

    assert np.array_equal(read_bytes(tmp_path / "a.tif"), encode_scores(scores))


def test_one_band_is_a_confidence(tmp_path: Path) -> None:
    with ScoreWriter(tmp_path / "a.tif", Size(4, 4)) as writer:
        writer.write(random_scores(1, 4, 4))

    with gdal_settings(), rasterio.open(tmp_path / "a.tif") as file:
        assert file.descriptions == ("confidence",)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.full((1, 1, 4), 1.01), r"probabilities in 0\.\.1, got 1\.01; take the softmax"),
        (np.full((1, 1, 4), -3.0), "got -3;"),
        (np.full((1, 1, 4), np.inf), "got inf;"),
        (np.zeros((1, 1, 4), dtype=np.uint8), r"floats of \(bands, rows, width\), got uint8"),
        (np.zeros((1, 4)), r"got float64 of \(1, 4\)"),
        (np.zeros((2, 1, 4)), r"must be \(1, rows, 4\), got \(2, 1, 4\)"),
        (np.zeros((1, 1, 3)), r"must be \(1, rows, 4\), got \(1, 1, 3\)"),
        (np.zeros((1, 5, 4)), "4 rows left to write, got 5"),
    ],
)
def test_scores_that_do_not_fit_are_refused(
    tmp_path: Path, scores: NDArray[Any], message: str
) -> None:
    with (
        pytest.raises(OutputError, match=message),
        ScoreWriter(tmp_path / "a.tif", Size(4, 4)) as writer,
    ):
        writer.write(scores)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("valid", [np.ones((3, 4), dtype=bool), np.ones((4, 4), dtype=np.uint8)])
def test_masks_that_do_not_fit_are_refused(valid: NDArray[Any]) -> None:
    with pytest.raises(OutputError, match=r"must be bool of \(4, 4\), got"):
        encode_scores(np.zeros((1, 4, 4)), valid)


def test_encoded_rows_of_another_type_are_refused(tmp_path: Path) -> None:
    encoded: NDArray[Any] = np.zeros((1, 4, 4))

    with (
        pytest.raises(OutputError, match="must be uint8, got float64"),
        ScoreWriter(tmp_path / "a.tif", Size(4, 4)) as writer,
    ):
        writer.write_encoded(encoded)


def test_places_where_nothing_can_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "there.tif").touch()

    for name, message in (
        ("there.tif", "exists already"),
        ("missing/a.tif", "does not exist"),
        ("a.png", r"one of \.tif, \.tiff, got '\.png'"),
    ):
        with pytest.raises(OutputError, match=message):
            ScoreWriter(tmp_path / name, Size(4, 4))


def test_a_file_needs_bands(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="at least one band"):
        ScoreWriter(tmp_path / "a.tif", Size(4, 4), band_names=[])


@pytest.mark.parametrize("bands", [1, 3])
def test_windows_in_any_order_are_the_rows(tmp_path: Path, bands: int) -> None:
    size, names = Size(700, 1100), ["a", "b", "c"][:bands]
    encoded = np.random.default_rng(0).integers(0, 255, (bands, 700, 1100), np.uint8)
    with ScoreWriter(tmp_path / "rows.tif", size, band_names=names) as writer:
        writer.write_encoded(encoded)
    windows = list(blocks(size, 512))

    with ScoreWriter(tmp_path / "windows.tif", size, band_names=names) as writer:
        for window in reversed(windows):
            writer.write_window(window, encoded[:, *window.slices])

    with open_raster(tmp_path / "rows.tif") as rows, open_raster(tmp_path / "windows.tif") as found:
        whole = Window(0, 0, size)
        assert np.array_equal(found.read(whole), encoded)
        assert np.array_equal(rows.read(whole), encoded)


def test_windows_must_be_tiles_and_all_must_come(tmp_path: Path) -> None:
    size = Size(700, 1100)
    writer = ScoreWriter(tmp_path / "a.tif", size)
    with pytest.raises(OutputError, match="multiples of 512"), writer:
        writer.write_window(Window(0, 0, Size(100, 512)), np.zeros((1, 100, 512), np.uint8))
    writer = ScoreWriter(tmp_path / "a.tif", size)
    with pytest.raises(OutputError, match="needs 770000 pixels, got only 262144"), writer:
        writer.write_window(Window(0, 0, Size(512, 512)), np.zeros((1, 512, 512), np.uint8))

    assert list(tmp_path.iterdir()) == []
