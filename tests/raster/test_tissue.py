"""Finding tissue on drawn slides."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster import (
    ArrayRaster,
    Georeference,
    TissueRaster,
    find_tissue,
    open_slide,
    shrunk,
    tissue_mask,
)
from glnet.raster.slides import tissue
from glnet.raster.slides.tissue import otsu_threshold
from tests.raster.slide_files import drawn, write_svs

GLASS, STAIN, PALE = (235, 236, 234), (180, 90, 150), (240, 200, 225)


def slide(*spots: tuple[slice, slice], stain: tuple[int, int, int] = STAIN) -> NDArray[Any]:
    """Glass with stained rectangles and noise, (3, 120, 160)."""
    pixels = np.empty((120, 160, 3))
    pixels[:] = GLASS
    for spot in spots:
        pixels[spot] = stain
    pixels += np.random.default_rng(0).integers(-3, 4, (120, 160, 1))
    return np.moveaxis(pixels, 2, 0).astype(np.uint8)


SPOT = (slice(30, 80), slice(40, 110))


def marked(*spots: tuple[slice, slice]) -> NDArray[np.bool_]:
    expected = np.zeros((120, 160), bool)
    for spot in spots:
        expected[spot] = True
    return expected


def near(found: NDArray[np.bool_], expected: NDArray[np.bool_]) -> bool:
    """Whether only corners differ: a median takes three pixels of each, here of eight at most."""
    return bool(np.sum(found != expected) <= 24)


@pytest.mark.parametrize("stain", [STAIN, PALE])
def test_stained_tissue_is_found(stain: tuple[int, int, int]) -> None:
    assert near(tissue_mask(slide(SPOT, stain=stain)), marked(SPOT))


def test_dust_goes_and_small_holes_close() -> None:
    dust = (slice(10, 12), slice(10, 12))
    pixels = slide(SPOT, dust)
    pixels[:, 50:56, 60:66] = 235

    assert near(tissue_mask(pixels), marked(SPOT))


def test_large_holes_stay() -> None:
    pixels = slide(SPOT)
    pixels[:, 45:65, 60:90] = 235
    expected = marked(SPOT)
    expected[45:65, 60:90] = False

    assert near(tissue_mask(pixels), expected)


def test_glass_alone_is_no_tissue_and_tissue_alone_is_all() -> None:
    everywhere = (slice(None), slice(None))
    two_stains = slide(everywhere)
    two_stains[:, :60] = np.array([230, 60, 160])[:, None, None]

    assert not tissue_mask(slide()).any()
    assert tissue_mask(slide(everywhere)).all()
    assert tissue_mask(two_stains).all()


def test_shadows_and_black_edges_are_no_tissue() -> None:
    pixels = slide(SPOT)
    pixels[:, :10] = 4
    pixels[:, 100:] = 120

    assert near(tissue_mask(pixels), marked(SPOT))


def test_what_was_not_seen_is_no_tissue() -> None:
    pixels = slide(SPOT)
    pixels[:, :, 120:] = np.array([0, 255, 0])[:, None, None]

    assert near(tissue_mask(pixels, ~marked((slice(None), slice(120, None)))), marked(SPOT))


def test_other_pixels_are_refused() -> None:
    for pixels in (np.zeros((3, 4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.uint8)):
        with pytest.raises(RasterError, match="8-bit pixels"):
            tissue_mask(pixels)


@given(st.lists(st.integers(0, 60), min_size=2, max_size=40))
def test_the_threshold_parts_values_best(counts: list[int]) -> None:
    threshold = otsu_threshold(np.array(counts))

    def between(at: int) -> float:
        values = np.repeat(np.arange(len(counts)), counts)
        low, high = values[values <= at], values[values > at]
        if not low.size or not high.size:
            return 0.0
        return float(low.size * high.size * (low.mean() - high.mean()) ** 2)

    best = max(between(at) for at in range(len(counts)))
    assert between(threshold) == pytest.approx(best)


def test_a_raster_of_tissue_keeps_pixels_and_masks_the_rest() -> None:
    pixels = np.moveaxis(slide(SPOT), 0, 2)
    place = Georeference.north_up(32633, 0, 0, 1)
    valid = marked((slice(None), slice(0, 100)))
    raster = ArrayRaster(pixels, georeference=place, valid=valid)
    small = np.array([[False, True], [True, False]])

    view = TissueRaster(raster, small)
    whole = view.read_masked(Window(0, 0, Size(120, 160)))
    part = view.read_masked(Window(50, 70, Size(30, 40)))

    expected = small.repeat(60, 0).repeat(80, 1) & valid
    assert view.has_mask
    assert view.georeference == place
    assert whole.valid is not None
    assert part.valid is not None
    assert np.array_equal(whole.valid, expected)
    assert np.array_equal(part.valid, expected[50:80, 70:110])
    assert np.array_equal(np.moveaxis(whole.pixels, 0, 2), pixels)


def test_tissue_of_a_slide_is_found_in_a_small_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tissue, "THUMBNAIL_SIDE", 56)
    write_svs(tmp_path / "a.svs", drawn(1280, 1792))

    with open_slide(tmp_path / "a.svs") as raster:
        small = find_tissue(raster)
        view = TissueRaster(raster, small)
        thumbnail = shrunk(view, Size(20, 28))

    assert small.shape == (40, 56)
    rows, columns = np.mgrid[:40, :56]
    from_middle = np.hypot(rows - 19.5, columns - 27.5)
    assert np.all(small[from_middle < 12])
    assert not np.any(small[from_middle > 15])
    assert thumbnail.overview == 16
    assert thumbnail.valid is not None
    assert thumbnail.valid[10, 14]
    assert not thumbnail.valid[:, 0].any()


def test_long_slides_have_long_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tissue, "THUMBNAIL_SIDE", 20)

    assert find_tissue(ArrayRaster(np.zeros((3, 400, 3), np.uint8))).shape == (1, 20)
    assert find_tissue(ArrayRaster(np.zeros((7, 9, 3), np.uint8))).shape == (7, 9)
