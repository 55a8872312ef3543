"""Pixels that are no measurements: no label, no context, no patch of their own."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from glnet.geometry import Size, Window
from glnet.inference.jobs import Extras
from glnet.inference.segment import segment, segment_file
from glnet.inference.settings import Settings
from glnet.inference.streaming import predict
from glnet.model.answers import Answer
from glnet.model.forms import PlainForm
from glnet.raster import ArrayRaster, Palette, Valid, open_raster
from tests.inference.pictures import picture
from tests.model.tiny import tiny_model

CPU = torch.device("cpu")
HEIGHT, WIDTH = 150, 200
WHOLE = Window(0, 0, Size(HEIGHT, WIDTH))


def _valid() -> Valid:
    """The right third is empty, and there are holes elsewhere."""
    valid = np.ones((HEIGHT, WIDTH), bool)
    valid[:, 120:] = False
    valid[30:40, 50:70] = False
    return valid


def _scores(raster: ArrayRaster) -> torch.Tensor:
    with predict(tiny_model(), raster, Settings()) as prediction:
        return prediction.scores(Answer.AGGREGATED, WHOLE, CPU)


def test_what_hides_under_the_mask_changes_no_score() -> None:
    pixels, valid = picture(HEIGHT, WIDTH), _valid()
    other = np.where(valid[..., None], pixels, picture(HEIGHT, WIDTH, seed=9))

    one, two = (_scores(ArrayRaster(of, valid=valid)) for of in (pixels, other))

    assert torch.equal(one, two)


def test_labels_are_missing_exactly_where_measurements_are() -> None:
    pixels, valid = picture(HEIGHT, WIDTH).astype(np.float32), _valid()
    pixels[~valid] = np.nan

    labels = segment(pixels, tiny_model())

    assert np.array_equal(labels == 255, ~valid)


@pytest.mark.parametrize("row", ["global only", "local only", "deep"])
def test_every_kind_of_model_leaves_them_out(row: str) -> None:
    pixels, valid = picture(HEIGHT, WIDTH).astype(np.float32), _valid()
    pixels[~valid] = np.nan

    assert np.array_equal(segment(pixels, tiny_model(row)) == 255, ~valid)


def test_patches_without_a_measurement_are_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    model, valid = tiny_model(), _valid()
    raster = ArrayRaster(picture(HEIGHT, WIDTH), valid=valid)
    grid = model.config.framing.grid(raster.size)
    expected = [bool(valid[window.slices].any()) for window in grid]
    seen: list[int] = []
    see_patches = PlainForm.see_patches

    def noting(self: PlainForm, pixels: torch.Tensor, *others: object) -> object:
        seen.append(len(pixels))
        return see_patches(self, pixels, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(PlainForm, "see_patches", noting)
    predict(model, raster, Settings(collapse=False)).close()

    assert 0 < sum(expected) < len(grid)
    assert sum(seen) == sum(expected)


def test_both_forms_agree_with_holes() -> None:
    raster = ArrayRaster(picture(HEIGHT, WIDTH), valid=_valid())
    found = []
    for collapse in (True, False):
        with predict(tiny_model(), raster, Settings(collapse=collapse)) as prediction:
            found.append(prediction.scores(Answer.AGGREGATED, WHOLE, CPU))

    assert float((found[0] - found[1]).abs().max()) <= 1e-4 * float(found[1].abs().max())


def test_an_image_without_any_measurement_is_all_nodata(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "height": 70, "width": 90, "count": 3, "dtype": "uint8"}
    with rasterio.open(
        path, "w", **profile, nodata=0, transform=Affine(2, 0, 0, 0, -2, 0), crs="EPSG:32633"
    ) as file:
        file.write(np.zeros((3, 70, 90), np.uint8))
    extras = Extras(confidence=True, probabilities=True, overlay=True)

    report = segment_file(path, tmp_path / "b.tif", tiny_model(), Settings(), extras=extras)

    assert report.nodata_pixels == 70 * 90
    assert [(of.pixels, of.share, of.square_metres) for of in report.classes] == [(0, 0, 0)] * 3
    for name in ("b.tif", "b_confidence.tif", "b_probabilities.tif"):
        with open_raster(tmp_path / name) as found:
            valid = found.read_masked(Window(0, 0, found.size)).valid
            assert valid is not None
            assert not valid.any()


def test_files_say_where_there_is_nothing(tmp_path: Path) -> None:
    path, valid = tmp_path / "a.tif", _valid()
    profile = {"driver": "GTiff", "height": HEIGHT, "width": WIDTH, "count": 3, "dtype": "uint8"}
    pixels = np.where(valid, np.moveaxis(picture(HEIGHT, WIDTH), 2, 0).clip(1), 0)
    with rasterio.open(
        path, "w", **profile, nodata=0, transform=Affine(2, 0, 0, 0, -2, 0), crs="EPSG:32633"
    ) as file:
        file.write(pixels.astype(np.uint8))
    model, extras = tiny_model(), Extras(confidence=True, probabilities=True)

    report = segment_file(path, tmp_path / "b.tif", model, Settings(), extras=extras)

    for name in ("b.tif", "b_confidence.tif", "b_probabilities.tif"):
        with open_raster(tmp_path / name) as found:
            carried = found.read_masked(WHOLE).valid
            assert carried is not None
            assert np.array_equal(carried, valid)
    with open_raster(tmp_path / "b_probabilities.tif") as file:
        probabilities = file.read(WHOLE)[:, valid] / 254
    with open_raster(tmp_path / "b_confidence.tif") as file:
        confidence = file.read(WHOLE)[0, valid] / 254
    with open_raster(tmp_path / "b.tif", palette=Palette.KEEP) as file:
        labels = file.read(WHOLE)[0, valid]
    assert np.allclose(probabilities.sum(axis=0), 1, atol=0.01)
    assert np.array_equal(probabilities.max(axis=0), confidence)
    winners = np.take_along_axis(probabilities, labels[None].astype(int), axis=0)[0]
    assert np.array_equal(winners, confidence)
    assert sum(of.pixels for of in report.classes) == valid.sum()
    assert [of.square_metres for of in report.classes] == [4 * of.pixels for of in report.classes]


@pytest.mark.parametrize(("dtype", "nodata"), [("float32", -9999.0), ("int16", -32768)])
def test_nodata_in_one_band_is_what_nan_is(tmp_path: Path, dtype: str, nodata: float) -> None:
    model = tiny_model()
    pixels = np.moveaxis(picture(HEIGHT, WIDTH), 2, 0).astype(dtype)
    pixels[0, 30:60, 40:90] = nodata
    profile = {"driver": "GTiff", "height": HEIGHT, "width": WIDTH, "count": 3, "dtype": dtype}
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", **profile, nodata=nodata, transform=Affine.scale(2)) as file:
        file.write(pixels)
    gaps = np.where(pixels == nodata, np.nan, pixels.astype(np.float32))

    with open_raster(path) as raster, predict(model, raster, Settings()) as prediction:
        found = prediction.scores(Answer.AGGREGATED, WHOLE, CPU)

    assert torch.equal(found, _scores(ArrayRaster(np.moveaxis(gaps, 0, 2))))
