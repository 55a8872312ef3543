"""Patches in fixed groups, and who runs the network over them.

A group is so many consecutive patches of a grid, the same for any batch, memory or number of
workers. No batch crosses its border, and what it adds to the merged maps is summed up beside them,
from zero. So a group gives the same numbers wherever it is computed, and groups that are added in
their order the same sums.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple, Protocol

from torch import Tensor

from glnet.inference.overlapping import made_ahead
from glnet.model.answers import Answer
from glnet.model.exchange import Exchange, PatchIndex
from glnet.model.features import BranchFeatures
from glnet.model.forms import Form, WholeOutput
from glnet.model.merging import GroupSums, Merger, Summed, heard_maps

GROUP = 16
"""Patches; more than these never enter the network at once."""


def groups_of(patches: int, first: int = 0, group: int | None = None) -> list[range]:
    """All groups of so many patches, from the one that begins with ``first`` on."""
    size = group or GROUP
    return [range(at, min(at + size, patches)) for at in range(first, patches, size)]


class SeenPatches(NamedTuple):
    """Some patches as the network takes them.

    Attributes:
        measured: Those that hold at least one measurement.
        holed: Those of them that hold some pixels that are none.
        pixels: (N, bands, h, w) of those that are measured; None where none is.
    """

    measured: list[int]
    holed: list[int]
    pixels: Tensor | None


class Pixels(Protocol):
    """Where the network's input comes from: normalised, on the device, in its numbers."""

    def thumbnail(self) -> Tensor:
        """The whole raster: (1, bands, h, w)."""
        ...

    def patches(self, indices: Sequence[int]) -> SeenPatches:
        """Patches by their number in the grid."""
        ...


Write = Callable[[Answer, Sequence[int], Tensor], None]
"""Keeps the scores (N, K, h, w) of some patches."""

Tell = Callable[[int], None]
"""Told up to which patch all are seen."""


class Found(NamedTuple):
    """What was found of a group; its scores were written.

    Attributes:
        group: Its patches.
        skipped: Those without a measurement.
        holed: Those of which some pixels are no measurements.
        sums: What it adds to the merged maps; None where nobody hears them.
    """

    group: range
    skipped: frozenset[int]
    holed: frozenset[int]
    sums: Summed | None


class Seer(Protocol):
    """Runs the network over one raster, here or elsewhere."""

    def first(self, wanted: Collection[Answer]) -> WholeOutput:
        """What the context branch says; its features may have no content but their shapes."""
        ...

    def groups(
        self, groups: Sequence[range], sure: frozenset[int], write: Write, tell: Tell
    ) -> Generator[Found]:
        """What is found of groups, in their order; to be closed.

        Args:
            groups: Which.
            sure: Patches that are not seen.
            write: Takes the scores.
            tell: Told now and then within a group, but not of its end.
        """
        ...

    def again(self, merger: Merger) -> WholeOutput:
        """What the refined branch says, which hears all patches."""
        ...


class Reading(NamedTuple):
    """How pixels come in.

    Attributes:
        pixels: From where.
        batch: How many patches run at once.
        ahead: How many batches are read while another one is in the network.
    """

    pixels: Pixels
    batch: int
    ahead: int = 0


class FormSeer:
    """A `Seer` that runs a form in this process.

    Args:
        form: The network.
        exchange: The raster's way between frames.
        places: Of all patches, in the order in which they are numbered.
        wanted: Which answers are kept.
        reading: How pixels come in.
        reached: Patches for whose cells a group's sums have room; by default its own.
    """

    def __init__(
        self,
        form: Form,
        exchange: Exchange,
        places: Sequence[PatchIndex],
        wanted: Sequence[Answer],
        reading: Reading,
        reached: Sequence[PatchIndex] | None = None,
    ) -> None:
        self._form = form
        self._exchange = exchange
        self._places = places
        self._wanted = wanted
        self._reading = reading
        self._reached = reached
        self._thumbnail: Tensor | None = None
        self._whole: WholeOutput | None = None

    def first(self, wanted: Collection[Answer]) -> WholeOutput:
        """As `Seer.first`."""
        self._thumbnail = self._reading.pixels.thumbnail()
        self._whole = self._form.see_whole(self._thumbnail, wanted)
        return self._whole

    def groups(
        self, groups: Sequence[range], sure: frozenset[int], write: Write, tell: Tell
    ) -> Generator[Found]:
        """As `Seer.groups`; patches are read ahead also from one group to the next."""

        def read(indices: Sequence[int]) -> tuple[Sequence[int], SeenPatches]:
            return indices, self._reading.pixels.patches([k for k in indices if k not in sure])

        batches = (of for group in groups for of in cut(group, self._reading.batch, sure))
        with closing(made_ahead(read, batches, self._reading.ahead)) as seen:
            for group in groups:
                yield self._seen(group, seen, sure, write, tell)

    def _seen(
        self,
        group: range,
        batches: Iterator[tuple[Sequence[int], SeenPatches]],
        sure: frozenset[int],
        write: Write,
        tell: Tell,
    ) -> Found:
        """See all batches of a group."""
        sums, measured, holed = self._sums(group), set[int](), set[int]()
        for indices, found in batches:
            if found.pixels is not None:
                self._see(found.measured, found.pixels, sums, write)
            measured.update(found.measured)
            holed.update(found.holed)
            del found  # gives its room to the next one
            if indices[-1] + 1 == group.stop:
                break
            tell(indices[-1] + 1)
        skipped = frozenset(group).difference(measured, sure)
        summed = None if sums is None else sums.summed
        return Found(group, skipped, frozenset(holed), summed)

    def _sums(self, group: range) -> GroupSums | None:
        if self._whole is None or not self._form.hears_patches:
            return None
        reached = self._reached or [self._places[k] for k in group]
        return GroupSums(self._exchange, self._whole.features, reached)

    def _see(
        self, indices: Sequence[int], pixels: Tensor, sums: GroupSums | None, write: Write
    ) -> None:
        """One batch; its maps end with this call."""
        places, whole = [self._places[k] for k in indices], self._whole
        output = self._form.see_patches(pixels, whole, self._exchange, places, self._wanted)
        if sums is not None:
            sums.add(output.features, places)
        for answer, scores in output.scores.items():
            if answer not in self._wanted:
                continue
            far: Tensor | int = 0
            if answer is Answer.AGGREGATED and sums is None and whole is not None:
                far = self._form.far_part(whole, self._exchange, scores.shape, places)
            write(answer, indices, scores + far)

    def again(self, merger: Merger) -> WholeOutput:
        """As `Seer.again`."""
        assert self._whole is not None
        layers = self._whole.features.map(lambda _, of: of.new_empty(()))
        return self.hear_again(layers, merger.merged_maps())

    def hear_again(self, like: BranchFeatures, merged: Sequence[Tensor]) -> WholeOutput:
        """What the refined branch says, which hears merged maps (`Merger.merged_maps`).

        Args:
            like: Features of as many layers and levels.
            merged: The maps.
        """
        assert self._thumbnail is not None
        self._whole = None  # gives its room to the refined branch
        heard = heard_maps(like, merged, self._thumbnail.dtype)
        return self._form.see_again(self._thumbnail, heard, self._wanted)


def cut(patches: range, batch: int, free: frozenset[int] = frozenset()) -> Iterator[range]:
    """Patches in order, so many at once; those that are free do not count."""
    first, counted = patches.start, 0
    for number in patches:
        counted += number not in free
        if counted == batch or number + 1 == patches.stop:
            yield range(first, number + 1)
            first, counted = number + 1, 0
