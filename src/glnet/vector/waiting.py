"""Corners of components that are not whole yet: some in memory, the rest in a file."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glnet.closing import Closing
from glnet.vector.cells import Indices
from glnet.vector.corners import Corners, joined

NONE = -1
HEADER = 3
"""Numbers before the corners of a block: two blocks that belong to it, and how many corners."""


class WaitingCorners(Closing):
    """Keeps corners until their component has ended.

    In memory are at most ``most`` corners and one number per component. The others lie in a file in
    blocks of 64-bit numbers; each block names up to two others of the same component, so that
    components which turn out to be one are joined by a block of their own. What has been read back
    is not taken off the file: in the end it has eight bytes per corner that ever waited for long.

    Args:
        folder: Where the unnamed file lies.
        most: How many corners wait in memory.
        at_once: About how many are read back at once, where many components end in one row.

    Raises:
        OSError: If the file cannot be made; from all methods, if it cannot be written or read.
    """

    def __init__(self, folder: Path, most: int, at_once: int) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `close`
        self._end = 0
        self._most = most
        self._at_once = at_once
        nothing = np.empty(0, dtype=np.int64)
        self._corners = Corners(nothing, nothing)
        self._blocks = nothing

    def exchange(
        self, new: Corners, number_of: Indices, is_open: NDArray[np.bool_]
    ) -> Iterator[Corners]:
        """Take new corners in, and give those out whose components have ended.

        New corners are in once this returns; what it gives out are whole components, some at a
        time, which are to be taken before the next exchange.

        Args:
            new: What is added, by the new numbers of components.
            number_of: The new number of every component whose corners wait.
            is_open: By new numbers, whether a component goes on. Those that do are numbered anew
                for the next time, in their order.
        """
        waiting = Corners(self._corners.places, number_of[self._corners.owners])
        corners = joined([waiting, new])
        stays = is_open[corners.owners]
        ended = corners.only(~stays)
        next_number = np.cumsum(is_open) - 1
        corners = corners.only(stays)
        self._corners = Corners(corners.places, next_number[corners.owners])
        on_file = np.flatnonzero(self._blocks != NONE)
        blocks, owners = self._blocks[on_file], number_of[on_file]
        goes_on = is_open[owners]
        self._blocks = np.full(np.count_nonzero(is_open), NONE)
        self._join(blocks[goes_on], next_number[owners[goes_on]])
        if len(self._corners.places) > self._most:
            self._move_to_file()
        return self._given_out(ended, blocks[~goes_on], owners[~goes_on])

    def _given_out(self, in_memory: Corners, blocks: Indices, owners: Indices) -> Iterator[Corners]:
        """Those that are in memory alone, then the others, which the file has most of."""
        is_on_file = np.isin(in_memory.owners, owners)
        yield in_memory.only(~is_on_file)
        rest = in_memory.only(is_on_file)
        rest = rest.only(np.argsort(rest.owners, kind="stable"))
        order = np.argsort(owners, kind="stable")
        blocks, owners = blocks[order], owners[order]
        parts, held = list[Corners](), 0
        for owner in np.unique(owners).tolist():
            own = slice(*np.searchsorted(rest.owners, [owner, owner + 1]))
            its = slice(*np.searchsorted(owners, [owner, owner + 1]))
            found = [self._read(block) for block in blocks[its].tolist()]
            places = np.concatenate([rest.places[own], *found])
            parts.append(Corners(places, np.full(len(places), owner)))
            held += len(places)
            if held >= self._at_once:
                yield joined(parts)
                parts, held = [], 0
        if parts:
            yield joined(parts)

    def close(self) -> None:
        """Give the disk space back; closing twice does nothing."""
        with suppress(OSError):  # Its last bytes need not be written any more.
            self._file.close()

    def _join(self, blocks: Indices, owners: Indices) -> None:
        """Remember one block per owner."""
        _, first = np.unique(owners, return_index=True)
        self._blocks[owners[first]] = blocks[first]
        for index in np.setdiff1d(np.arange(len(owners)), first).tolist():
            owner = owners[index]
            header = np.array([self._blocks[owner], blocks[index], 0])
            self._blocks[owner] = self._append(header)

    def _move_to_file(self) -> None:
        order = np.argsort(self._corners.owners)
        owners, first, counts = np.unique(
            self._corners.owners[order], return_index=True, return_counts=True
        )
        blocks = first + HEADER * np.arange(len(owners))
        numbers = np.empty(len(order) + HEADER * len(owners), dtype=np.int64)
        numbers[blocks] = self._blocks[owners]
        numbers[blocks + 1] = NONE
        numbers[blocks + 2] = counts
        shift = np.repeat(HEADER * np.arange(1, len(owners) + 1), counts)
        numbers[np.arange(len(order)) + shift] = self._corners.places[order]
        self._blocks[owners] = self._append(numbers) + blocks
        nothing = np.empty(0, dtype=np.int64)
        self._corners = Corners(nothing, nothing)

    def _append(self, numbers: Indices) -> int:
        """Write at the end; the place of the first number."""
        place = self._end
        self._file.seek(8 * place)
        self._file.write(numbers.data)
        self._end += len(numbers)
        return place

    def _read(self, block: int) -> Indices:
        """The corners of a block and of all that belong to it."""
        found, todo = [], [block]
        while todo:
            place = todo.pop()
            one, other, count = self._numbers(place, HEADER).tolist()
            found.append(self._numbers(place + HEADER, count))
            todo.extend(next_one for next_one in (one, other) if next_one != NONE)
        return np.concatenate(found)

    def _numbers(self, place: int, count: int) -> Indices:
        numbers = np.empty(count, dtype=np.int64)
        self._file.seek(8 * place)
        if self._file.readinto(numbers.data) != numbers.nbytes:
            raise OSError("the scratch file is cut short")
        return numbers
