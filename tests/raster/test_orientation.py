from io import BytesIO

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from glnet.geometry import Size, Window
from glnet.raster.orientation import EXIF_ORIENTATIONS, UPRIGHT, Orientation, exif_orientation

orientations = st.sampled_from(list(EXIF_ORIENTATIONS.values()))
sides = st.integers(1, 12)


@st.composite
def windows(draw: st.DrawFn, size: Size) -> Window:
    row, column = draw(st.integers(0, size.height - 1)), draw(st.integers(0, size.width - 1))
    height, width = (
        draw(st.integers(1, size.height - row)),
        draw(st.integers(1, size.width - column)),
    )
    return Window(row, column, Size(height, width))


@given(st.data(), orientations, sides, sides)
def test_windows_of_the_stored_picture_show_windows_of_the_displayed(
    data: st.DataObject, turn: Orientation, height: int, width: int
) -> None:
    stored = np.arange(height * width).reshape(1, height, width)
    displayed = turn.display(stored)
    window = data.draw(windows(turn.displayed_size(Size(height, width))))

    place = turn.stored_window(window, Size(height, width))

    shown = turn.display(stored[:, *place.slices])
    assert np.array_equal(shown, displayed[:, *window.slices])
    assert turn.displayed_window(place, Size(height, width)) == window


@pytest.mark.parametrize("value", range(1, 9))
def test_display_equals_pillows_transposition(value: int) -> None:
    pixels = np.random.default_rng(value).integers(0, 256, (5, 7), dtype=np.uint8)
    exif = Image.Exif()
    exif[274] = value
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", exif=exif)

    displayed = exif_orientation(value).display(pixels[np.newaxis])[0]

    assert np.array_equal(displayed, np.asarray(ImageOps.exif_transpose(Image.open(file))))


@given(orientations, sides, sides)
def test_a_pixel_keeps_its_coordinates_when_displayed(
    turn: Orientation, height: int, width: int
) -> None:
    size = Size(height, width)
    transform = Affine(2.0, 0.5, 100.0, 0.25, -3.0, 900.0)

    displayed = turn.displayed_transform(transform, size)

    for row, column in ((0, 0), (height, 0), (0, width), (height, width), (0.5, 0.25)):
        shown_row, shown_column = turn.displayed_point(row, column, size)
        assert _apply(displayed, shown_column, shown_row) == pytest.approx(
            _apply(transform, column, row)
        )


def _apply(transform: Affine, column: float, row: float) -> tuple[float, float]:
    return (
        transform.a * column + transform.b * row + transform.c,
        transform.d * column + transform.e * row + transform.f,
    )


@pytest.mark.parametrize("value", [0, 9, -1, None, "6", 3.5])
def test_unknown_orientations_are_upright(value: object) -> None:
    assert exif_orientation(value) == UPRIGHT
