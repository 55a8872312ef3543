import errno
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from glnet.errors import GeometryError, OutputError
from glnet.raster import draw_overlay, to_display, write_picture
from glnet.raster.writing.output import partial_file, publish

PICTURE = np.broadcast_to(np.arange(0, 200, 10, dtype=np.uint8)[:, None, None], (20, 30, 3))


@pytest.mark.parametrize(
    ("name", "kind", "tolerance"),
    [("a.png", "PNG", 0), ("a.JPG", "JPEG", 4), ("a.jpeg", "JPEG", 4)],
)
def test_a_picture_is_written(tmp_path: Path, name: str, kind: str, tolerance: int) -> None:
    write_picture(tmp_path / name, PICTURE)

    with Image.open(tmp_path / name) as picture:
        assert picture.format == kind
        difference = np.abs(np.asarray(picture).astype(int) - PICTURE)
    assert difference.max() <= tolerance
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_picture_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_picture(path, PICTURE)

    with pytest.raises(OutputError, match="exists already"):
        write_picture(path, PICTURE)
    write_picture(path, PICTURE[:5], overwrite=True)

    with Image.open(path) as picture:
        assert picture.size == (30, 5)


def test_places_and_pixels_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"one of \.png, \.jpg, \.jpeg"):
        write_picture(tmp_path / "a.tif", PICTURE)
    with pytest.raises(OutputError, match="does not exist"):
        write_picture(tmp_path / "missing" / "a.png", PICTURE)
    for shape in ((4, 5), (4, 5, 4), (0, 5, 3)):
        with pytest.raises(OutputError, match="height, width, 3"):
            write_picture(tmp_path / "a.png", np.zeros(shape, dtype=np.uint8))
    with pytest.raises(OutputError, match="cannot be encoded"):
        write_picture(tmp_path / "a.jpg", np.zeros((66_000, 1, 3), dtype=np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path, _content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)

    with pytest.raises(OutputError, match="could not be written whole: No space left"):
        write_picture(tmp_path / "a.png", PICTURE)


def test_names_may_be_long_but_leave_room_for_a_sidecar(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 243 + ".png")

    write_picture(path, PICTURE)

    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OutputError, match="no place to write to"):
        write_picture(tmp_path / ("x" * 248 + ".png"), PICTURE)


def test_publishing_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.png"

    with partial_file(path) as partial, pytest.raises(OutputError, match="could not be written"):
        publish(partial, path, overwrite=False)


def test_overlay_tints_areas_and_draws_boundaries() -> None:
    picture = np.full((4, 6, 3), 100, dtype=np.uint8)
    labels = np.zeros((4, 6), dtype=np.uint8)
    labels[:, 3:] = 1
    colors = [(200, 0, 0), (0, 100, 250)]

    drawn = draw_overlay(picture, labels, colors, opacity=0.5)

    assert np.all(drawn[:, :2] == (150, 50, 50))
    assert np.all(drawn[:, 2] == (140, 0, 0))
    assert np.all(drawn[:, 3:] == (50, 100, 175))


def test_overlay_leaves_labels_without_a_colour_alone() -> None:
    labels = np.full(PICTURE.shape[:2], 255, dtype=np.uint8)

    assert np.array_equal(draw_overlay(PICTURE, labels, [(9, 9, 9)]), PICTURE)
    assert np.array_equal(draw_overlay(PICTURE, labels, []), PICTURE)


def test_overlay_refuses_what_does_not_fit() -> None:
    labels = np.zeros(PICTURE.shape[:2], dtype=np.uint8)

    with pytest.raises(GeometryError, match="an overlay needs"):
        draw_overlay(PICTURE, labels[1:], [])
    with pytest.raises(GeometryError, match="an overlay needs"):
        draw_overlay(PICTURE[..., :2], labels, [])
    with pytest.raises(GeometryError, match="opacity"):
        draw_overlay(PICTURE, labels, [], opacity=1.5)


@pytest.mark.parametrize(
    ("bands", "shown"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (5, [0, 1, 2])]
)
def test_eight_bit_bands_are_shown_as_they_are(bands: int, shown: list[int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (bands, 5, 6), dtype=np.uint8)

    assert np.array_equal(to_display(pixels), np.moveaxis(pixels[shown], 0, 2))


@given(
    st.sampled_from(["uint16", "int16", "float32", "float64"]),
    st.floats(0.5, 10),
    st.floats(0, 100),
)
def test_other_bands_are_stretched_between_percentiles(
    dtype: str, scale: float, offset: float
) -> None:
    ramp = np.linspace(0, 1000, 10_000).reshape(1, 100, 100)

    shown = to_display((ramp * scale + offset).astype(dtype))[..., 0].ravel()

    assert np.all(np.diff(shown.astype(int)) >= 0)
    assert np.mean(shown == 0) == pytest.approx(0.02, abs=0.005)
    assert np.mean(shown == 255) == pytest.approx(0.02, abs=0.005)


@pytest.mark.parametrize("value", [7.0, np.nan, np.inf, -np.inf])
def test_bands_without_contrast_are_black(value: float) -> None:
    assert not to_display(np.full((1, 4, 4), value)).any()


def test_values_that_are_not_finite_are_black() -> None:
    pixels = np.linspace(-1, 1, 100).reshape(1, 10, 10) * np.finfo(np.float64).max
    pixels[0, 9, 9] = np.nan

    shown = to_display(pixels)[..., 0]

    assert shown[9, 9] == 0
    assert shown[9, 8] == 255


def test_display_refuses_other_axes() -> None:
    with pytest.raises(GeometryError, match="bands, height, width"):
        to_display(np.zeros((4, 5)))
