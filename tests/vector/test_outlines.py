"""Laws of the polygons of label maps, in pixels, whatever way the maps come in."""

from collections import Counter

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from glnet.vector.tracing import trace
from tests.vector.drawn import (
    NODATA,
    Labels,
    as_set,
    components_of,
    drawn_by_gdal,
    heights,
    label_maps,
    polygons_of,
    rasterized,
    speckled,
)


@given(labels=label_maps, heights=heights, most=st.sampled_from([0, 5, 1000]))
def test_polygons_are_those_that_gdal_finds_in_the_whole(
    labels: Labels, heights: list[int], most: int
) -> None:
    polygons, classes, _ = polygons_of(labels, heights, most)

    assert as_set(polygons, classes) == as_set(*drawn_by_gdal(labels))


@given(labels=label_maps, heights=heights, most=st.sampled_from([0, 5, 1000]))
def test_polygons_do_not_depend_on_how_rows_come_in(
    labels: Labels, heights: list[int], most: int
) -> None:
    # Not even where their rings begin does.
    streamed, whole = polygons_of(labels, heights, most), polygons_of(labels, [len(labels)])

    def listed(features: tuple[object, ...]) -> list[tuple[object, ...]]:
        polygons, classes, areas = features
        return sorted(zip(shapely.to_wkt(polygons), classes, areas, strict=True))  # type: ignore[call-overload]

    assert listed(streamed) == listed(whole)


@given(labels=label_maps, heights=heights)
def test_areas_add_up_to_the_pixels_of_every_class(labels: Labels, heights: list[int]) -> None:
    polygons, classes, areas = polygons_of(labels, heights)

    sums: Counter[int] = Counter()
    for label, area in zip(classes.tolist(), areas.tolist(), strict=True):
        sums[label] += area
    assert sums == Counter(labels[labels != NODATA].tolist())
    assert np.array_equal(shapely.area(polygons), areas)


@given(labels=label_maps, heights=heights)
def test_every_polygon_is_valid_and_turns_left(labels: Labels, heights: list[int]) -> None:
    polygons = polygons_of(labels, heights).polygons

    assert shapely.is_valid(polygons).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(polygons)).all()
    holes = shapely.get_interior_ring(np.repeat(polygons, 9), np.tile(range(9), len(polygons)))
    assert not shapely.is_ccw(holes[~shapely.is_missing(holes)]).any()


@given(labels=label_maps, heights=heights)
def test_polygons_drawn_back_are_the_map(labels: Labels, heights: list[int]) -> None:
    polygons, classes, _ = polygons_of(labels, heights)

    assert np.array_equal(rasterized(polygons, classes, labels), labels)


@given(labels=label_maps, heights=heights)
def test_rings_turn_at_every_point(labels: Labels, heights: list[int]) -> None:
    for ring in shapely.get_rings(polygons_of(labels, heights).polygons):
        edges = np.diff(shapely.get_coordinates(ring), axis=0)

        following = np.roll(edges, -1, axis=0)
        assert (edges * following).sum(axis=1).tolist() == [0] * len(edges)


@given(labels=label_maps, most=st.sampled_from([0.75, 2.0, 5.0]))
def test_points_between_change_no_polygon(labels: Labels, most: float) -> None:
    rings = trace(components_of(labels, [len(labels)]).corners, labels.shape[1] + 1)

    divided = rings.divided(most)

    for k in range(len(rings.rings) - 1):
        before, after = (of.points[of.rings[k] : of.rings[k + 1]] for of in (rings, divided))
        assert np.abs(np.diff(after, axis=0)).max() <= most
        assert {*map(tuple, before)} <= {*map(tuple, after)}
        assert shapely.equals(shapely.Polygon(before), shapely.Polygon(after))


@given(labels=label_maps, heights=heights)
def test_components_are_those_of_a_flood(labels: Labels, heights: list[int]) -> None:
    components = components_of(labels, heights)

    found = zip(components.classes.tolist(), components.areas.tolist(), strict=True)
    assert Counter(found) == _flooded(labels)


def _flooded(labels: Labels) -> Counter[tuple[int, int]]:
    """(label, pixels) of every component, found pixel by pixel."""
    left = {(int(r), int(c)) for r, c in np.argwhere(labels != NODATA)}
    found: Counter[tuple[int, int]] = Counter()
    while left:
        todo = [left.pop()]
        label, pixels = int(labels[todo[0]]), 1
        while todo:
            row, column = todo.pop()
            beside = {(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)}
            near = {at for at in beside & left if labels[at] == label}
            left -= near
            todo += near
            pixels += len(near)
        found[label, pixels] += 1
    return found


@pytest.mark.parametrize("most", [0, 100, 1 << 18])
def test_a_larger_map_gives_the_same_polygons_from_memory_and_from_the_file(most: int) -> None:
    labels = speckled(300, 200)

    polygons, classes, _ = polygons_of(labels, [1, 13, 40], most)

    assert as_set(polygons, classes) == as_set(*drawn_by_gdal(labels))


def test_all_256_labels_may_be_classes() -> None:
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)

    components = components_of(labels, [3], nodata=None)

    assert sorted(components.classes.tolist()) == list(range(256))


def test_a_map_of_nodata_has_no_polygons() -> None:
    labels = np.full((5, 4), NODATA, dtype=np.uint8)

    assert len(polygons_of(labels, [2]).polygons) == 0


def test_pixels_that_meet_at_a_corner_are_two_polygons() -> None:
    labels = np.array([[1, 0], [0, 1]], dtype=np.uint8)

    assert shapely.area(polygons_of(labels, [1]).polygons).tolist() == [1, 1, 1, 1]


def test_a_hole_that_opens_at_a_corner_is_a_ring_of_its_own() -> None:
    labels = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 1]], dtype=np.uint8)

    polygons, classes, _ = polygons_of(labels, [1])

    (around,) = polygons[classes == 1]
    assert shapely.get_num_interior_rings(around) == 1
