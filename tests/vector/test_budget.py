"""What is held does not grow with the raster."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from glnet.vector.components import ComponentFinder
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
    with WaitingCorners(folder, 2000) as waiting:
        finder = ComponentFinder(WIDTH, None, waiting)
        tracemalloc.start()
        try:
            for _ in range(parts):
                finder.add(rows)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_a_scratch_file_that_is_cut_short_is_told(tmp_path: Path) -> None:
    with WaitingCorners(tmp_path, 10) as waiting:
        finder = ComponentFinder(WIDTH, None, waiting)
        finder.add(_lattice())
        waiting._file.truncate(100)

        with pytest.raises(OSError, match="cut short"):
            finder.finish()
