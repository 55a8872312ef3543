"""Figures 3 and 7: the panels show the pixels that they say they show."""

import numpy as np
import pytest
from numpy.typing import NDArray

from glnet.data import IGNORE_INDEX, ClassInfo
from glnet.errors import ConfigurationError, InputMismatchError
from glnet.evaluation.drawing import LINE, MARGIN
from glnet.evaluation.looking import IGNORED
from glnet.geometry import Size
from glnet.raster import ArrayRaster
from glnet.reproduction.panels import SIDE, Collected, collect, draw_panels, zoom_side
from tests.inference.pictures import picture
from tests.reproduction.maps import ArrayMap

Labels = NDArray[np.uint8]
CLASSES = (
    ClassInfo("soil", (200, 30, 40)),
    ClassInfo("crop", (20, 180, 60)),
    ClassInfo("weed", (30, 70, 210)),
    ClassInfo("rock", (250, 250, 20)),
)
HEIGHT, WIDTH = 600, 900
IMAGE = picture(HEIGHT, WIDTH)
TRUTH = (np.add.outer(np.arange(HEIGHT) // 40, np.arange(WIDTH) // 40) % 2).astype(np.uint8)
TRUTH[:30, :30] = IGNORE_INDEX


def changed(rows: slice, columns: slice, label: int = 2) -> Labels:
    labels = np.where(TRUTH == IGNORE_INDEX, 0, TRUTH).astype(np.uint8)
    labels[rows, columns] = label
    return labels


ANSWERS = [
    changed(slice(0, 0), slice(0, 0)),
    changed(slice(400, 500), slice(100, 200)),
    changed(slice(100, 160), slice(700, 760)),
]
NAMES = ["global only", "local only", "GLNet"]


def collected(side: int = 300, zoom: int = 100) -> Collected:
    return collect(
        ArrayRaster(IMAGE),
        ArrayMap(TRUTH),
        [ArrayMap(of) for of in ANSWERS],
        side=side,
        zoom=zoom,
    )


@pytest.mark.parametrize(
    ("size", "side"),
    [
        (Size(2448, 2448), 420),
        (Size(600, 900), 150),
        (Size(192, 192), 48),
        (Size(50, 70), 16),
    ],
)
def test_zooms_show_less_than_a_small_image(size: Size, side: int) -> None:
    pixels = np.zeros((size.height, size.width, 3), np.uint8)
    labels = [np.full((size.height, size.width), k, np.uint8) for k in (0, 1)]

    found = collect(ArrayRaster(pixels), ArrayMap(labels[0]), [ArrayMap(of) for of in labels])

    assert zoom_side(size) == side
    assert {zoom.place.window.size for zoom in found.zooms} == {Size(side, side)}


def has(panel: NDArray[np.uint8], color: tuple[int, int, int]) -> int:
    return int((panel == color).all(axis=2).sum())


def test_zooms_are_cut_out_where_answers_differ_most() -> None:
    found = collected()

    assert found.size == Size(HEIGHT, WIDTH)
    first, second = found.zooms
    assert abs(first.place.window.row - 400) <= 12
    assert abs(first.place.window.column - 100) <= 12
    assert first.place.pixels > second.place.pixels > 0
    for zoom in found.zooms:
        inside = zoom.place.window.slices
        np.testing.assert_array_equal(zoom.cutout.picture, IMAGE[inside])
        np.testing.assert_array_equal(zoom.cutout.truth, TRUTH[inside])
        for got, whole in zip(zoom.cutout.answers, ANSWERS, strict=True):
            np.testing.assert_array_equal(got, whole[inside])


def test_the_overview_is_the_whole_image_in_small() -> None:
    overview = collected().overview

    assert overview.picture.shape == (200, 300, 3)
    np.testing.assert_array_equal(overview.truth, TRUTH[1::3, 1::3])
    np.testing.assert_array_equal(overview.answers[1], ANSWERS[1][1::3, 1::3])


def panel(sheet: NDArray[np.uint8], top: int, column: int, size: Size) -> NDArray[np.uint8]:
    """What lies in a column of a drawn sheet, from a row of pixels on."""
    left = MARGIN + column * (SIDE + MARGIN)
    return sheet[top : top + size.height, left : left + size.width]


def test_a_row_of_overviews_stands_over_a_row_of_every_zoom() -> None:
    found = collected(side=SIDE, zoom=SIDE // 4)  # Zooms are drawn four times as large.

    sheet = draw_panels(found, NAMES, CLASSES, title="scene")

    top = 3 * LINE
    overview = Size(SIDE * HEIGHT // WIDTH, SIDE)
    for column, of in ((3, found.overview.answers[1]), (4, found.overview.answers[2])):
        drawn = panel(sheet, top, column, overview)
        weeds = has(drawn, CLASSES[2].color)
        assert 0.5 * (of == 2).sum() < weeds <= (of == 2).sum()  # Frames lie on top.
    assert has(panel(sheet, top, 1, overview), IGNORED) == (found.overview.truth == 255).sum()
    for zoom in found.zooms:
        top += 2 * LINE + MARGIN + (overview.height if zoom is found.zooms[0] else SIDE)
        for column, labels in enumerate((zoom.cutout.truth, *zoom.cutout.answers), start=1):
            drawn = panel(sheet, top, column, Size(SIDE, SIDE))
            for label in range(3):
                assert has(drawn, CLASSES[label].color) == 16 * (labels == label).sum()
        source = panel(sheet, top, 0, Size(SIDE, SIDE))
        np.testing.assert_array_equal(source[::4, ::4], zoom.cutout.picture)
    assert sheet.shape[1] == 5 * (SIDE + MARGIN) + MARGIN


def test_every_overview_has_a_frame_at_every_zoom() -> None:
    found = collected(side=SIDE)

    framed = draw_panels(found, NAMES, CLASSES)
    without = draw_panels(found._replace(zooms=()), NAMES, CLASSES)

    overview = Size(SIDE * HEIGHT // WIDTH, SIDE)
    for column in range(5):
        one, other = (panel(of, 3 * LINE, column, overview) for of in (framed, without))
        rows, columns = np.nonzero((one != other).any(axis=2))
        for zoom in found.zooms:
            window = zoom.place.window
            down, across = window.row * SIDE // WIDTH, window.column * SIDE // WIDTH
            at = (abs(rows - down) <= 1) & (columns >= across) & (columns <= across + 30)
            assert at.sum() >= 30


def test_the_legend_has_the_classes_that_are_seen() -> None:
    sheet = draw_panels(collected(), NAMES, CLASSES)

    below = sheet[-LINE - MARGIN :]
    assert all(has(below, info.color) > 0 for info in CLASSES[:3])
    assert has(below, CLASSES[3].color) == 0
    assert has(below, IGNORED) > 0


def test_answers_need_a_name_each_and_the_size_of_the_image() -> None:
    with pytest.raises(ConfigurationError, match="each of 3 answers, got 2"):
        draw_panels(collected(), NAMES[:2], CLASSES)
    with pytest.raises(InputMismatchError, match="must be as large as array, 600x900; it is 5x5"):
        collect(
            ArrayRaster(IMAGE),
            ArrayMap(TRUTH),
            [ArrayMap(np.zeros((5, 5), np.uint8), "small")] * 2,
        )
