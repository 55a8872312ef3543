"""Components (pixels of one class, connected by their sides), linked from the top down."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glnet.vector.cells import NOTHING, Cells, Indices


class Open(NamedTuple):
    """The components that touch the last row seen."""

    of_run: Indices
    """(runs of that row,): the number of the component, or `NOTHING`."""
    classes: Indices
    """(components,): their labels."""
    areas: Indices
    """(components,): how many pixels of each were seen."""


class Links(NamedTuple):
    """All components that touch some cells, numbered anew."""

    of_open: Indices
    """(components that were open,): their new numbers."""
    of_run: Indices
    """(runs of the cells,): the component of every run."""
    classes: Indices
    """(components,): their labels, `NOTHING` among them."""
    areas: Indices
    """(components,): how many pixels of each were seen."""
    is_open: NDArray[np.bool_]
    """(components,): whether they touch the last row and so may go on."""


def none_open() -> Open:
    """What is open above a raster, where a row of nothing is one run."""
    nothing = np.empty(0, dtype=np.int64)
    return Open(np.array([NOTHING]), nothing, nothing)


def link(cells: Cells, before: Open) -> Links:
    """Find out which runs belong together, and to which of the components before."""
    starts = np.flatnonzero(cells.is_start)
    lengths = np.diff(starts, append=len(cells.labels))
    labels = cells.labels[starts].astype(np.int64)
    above, known = len(before.of_run), len(before.classes)
    # One node for every component before, then one for every new run.
    node_of_run = np.concatenate([before.of_run, known + np.arange(len(starts) - above)])
    root = _connected(known + len(starts) - above, *node_of_run[_touching(cells)])
    is_root = root == np.arange(len(root))
    component = (np.cumsum(is_root) - 1)[root]
    count = int(np.count_nonzero(is_root))
    sizes = np.concatenate([before.areas, lengths[above:]])
    classes = np.empty(count, dtype=np.int64)
    classes[component] = np.concatenate([before.classes, labels[above:]])
    of_run = np.where(labels == NOTHING, NOTHING, component[node_of_run])
    last = of_run[cells.run_of[cells.last_row][cells.is_start[cells.last_row]]]
    is_open = np.zeros(count, dtype=np.bool_)
    is_open[last[last != NOTHING]] = True
    # Sums of whole numbers, exact in float64 up to 2 ** 53 pixels.
    areas = np.bincount(component, sizes, count).astype(np.int64)
    return Links(component[:known], of_run, classes, areas, is_open)


def going_on(cells: Cells, links: Links) -> Open:
    """What is open below the cells, in the order of the links."""
    numbers = np.cumsum(links.is_open) - 1
    last = links.of_run[cells.run_of[cells.last_row][cells.is_start[cells.last_row]]]
    of_run = np.where(last == NOTHING, NOTHING, numbers[last])
    return Open(of_run, links.classes[links.is_open], links.areas[links.is_open])


def _touching(cells: Cells) -> Indices:
    """Pairs of runs of one class, one below the other: (2, pairs)."""
    stride = cells.stride
    # Once per pair: where the first of the two that begins later does.
    begins = cells.is_start[:-stride] | cells.is_start[stride:]
    begins &= ~cells.is_edge
    begins &= cells.labels[:-stride] != NOTHING
    places = np.flatnonzero(begins)
    return np.stack([cells.run_of[places], cells.run_of[places + stride]]).astype(np.int64)


def _connected(count: int, first: Indices, second: Indices) -> Indices:
    """The smallest node that each node is connected with.

    Every node that has a smaller neighbour is hung below it, all at once, and paths are shortened,
    until no pair is left that lies below two roots.
    """
    root = np.arange(count)
    while len(first):
        one, other = root[first], root[second]
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(shorter := root[root], root):
            root = shorter
        is_apart = root[first] != root[second]
        first, second = first[is_apart], second[is_apart]
    return root
