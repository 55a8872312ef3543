"""What is held does not grow with the raster."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from glnet.geometry import Size
from glnet.vector import PolygonWriter
from glnet.vector.components import ComponentFinder, Components, in_parts, together
from glnet.vector.features import Features, features_of
from glnet.vector.placement import Placement
from glnet.vector.waiting import WaitingCorners

WIDTH, ROWS = 200, 20


def _lattice() -> NDArray[np.uint8]:
    """One component that never ends, and many in its holes."""
    rows, columns = np.mgrid[:ROWS, :WIDTH]
    return np.asarray(rows % 2 * (columns % 2), np.uint8)


def _checkerboard() -> NDArray[np.uint8]:
    return np.asarray(np.indices((ROWS, WIDTH)).sum(axis=0) % 2, np.uint8)


def _columns() -> NDArray[np.uint8]:
    """As many components that never end as there can be, with ragged borders."""
    rows, columns = np.mgrid[:ROWS, :WIDTH]
    return np.asarray((columns + rows % 2) // 2 % 2, np.uint8)


@pytest.mark.parametrize("draw", [_lattice, _checkerboard, _columns])
def test_memory_does_not_grow_with_the_height(
    tmp_path: Path, draw: Callable[[], NDArray[np.uint8]]
) -> None:
    rows = draw()

    low, high = (_peak(tmp_path, rows, parts) for parts in (20, 200))

    assert high < 1.1 * low


def _peak(folder: Path, rows: NDArray[np.uint8], parts: int) -> int:
    with WaitingCorners(folder, 2000, 2000) as waiting:
        finder = ComponentFinder(WIDTH, None, waiting)
        tracemalloc.start()
        try:
            for _ in range(parts):
                for _ in finder.add(rows):
                    pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_a_scratch_file_that_is_cut_short_is_told(tmp_path: Path) -> None:
    with WaitingCorners(tmp_path, 10, 10) as waiting:
        finder = ComponentFinder(WIDTH, None, waiting)
        list(finder.add(_lattice()))
        waiting._file.truncate(100)

        with pytest.raises(OSError, match="cut short"):
            list(finder.finish())


def test_what_ends_at_once_comes_back_from_the_file_some_at_a_time(tmp_path: Path) -> None:
    bars = np.arange(4 * WIDTH) // 4 % 2 + 1
    labels = np.tile(bars.astype(np.uint8), (60, 1))
    labels[1::2, 1::4] = 0  # Many corners, of bars that all end in one row.
    with WaitingCorners(tmp_path, 100, 1000) as waiting:
        finder = ComponentFinder(labels.shape[1], 0, waiting)
        for row in range(0, 60, 5):
            assert sum(len(of.classes) for of in finder.add(labels[row : row + 5])) < WIDTH
        parts = list(finder.finish())

    largest = max(int(np.bincount(of.corners.owners).max(initial=0)) for of in parts)
    assert sum(len(of.classes) for of in parts) >= WIDTH
    assert max(len(of.corners.places) for of in parts) < 1000 + largest


def test_what_ends_at_once_is_parted(tmp_path: Path) -> None:
    labels = np.zeros((4, 3 * WIDTH), np.uint8)
    labels[:3, 1::3] = labels[1, ::3] = 1  # Many side by side that end in the same row.
    with WaitingCorners(tmp_path, 1 << 20, 1 << 20) as waiting:
        whole = together(list(ComponentFinder(labels.shape[1], 0, waiting).add(labels)))

    parts = list(in_parts(whole, 100))

    largest = int(np.bincount(whole.corners.owners).max())
    assert len(parts) > len(whole.corners.places) // (100 + largest)
    assert all(len(of.corners.places) < 100 + largest for of in parts)
    found = together(parts)
    ours, expected = (
        sorted(zip(of.owners.tolist(), of.places.tolist(), strict=True))
        for of in (found.corners, whole.corners)
    )
    assert ours == expected
    assert np.array_equal(found.classes, whole.classes)
    assert np.array_equal(found.areas, whole.areas)


def test_polygons_that_end_at_once_are_drawn_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def counting(
        components: Components, stride: int, placement: Placement, simplify: float | None
    ) -> Features:
        drawn.append(len(components.corners.places))
        return features_of(components, stride, placement, simplify)

    monkeypatch.setattr("glnet.vector.features.features_of", counting)
    monkeypatch.setattr("glnet.vector.writer.CORNERS_AT_ONCE", 1000)
    labels = np.zeros((20, 2000), np.uint8)
    labels[:19, ::2] = 1  # 1000 of four corners each end in one row.

    with PolygonWriter(tmp_path / "bars.geojson", Size(20, 2000), nodata=0) as writer:
        writer.write(labels)

    assert sum(drawn) == 4 * 1000
    assert max(drawn) <= 1000 + 4
