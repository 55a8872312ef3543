"""Rules that part a dataset's images into splits, always the same way on every machine."""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import PurePath
from typing import Protocol

from glnet.data.listing import listing
from glnet.errors import ConfigurationError, DatasetError

Splits = Mapping[str, tuple[str, ...]]
"""The stems of each split."""


class SplitRule(Protocol):
    """Something that says which image belongs to which split."""

    @property
    def names(self) -> tuple[str, ...]:
        """The splits that the rule makes."""
        ...

    def assign(self, stems: Sequence[str]) -> Splits:
        """Part these images.

        Raises:
            DatasetError: If the images do not fit the rule.
        """
        ...

    def draw(self, stems: Sequence[str]) -> Splits:
        """Part these images as well as can be, where some are missing.

        Raises:
            DatasetError: If a stem has no group.
        """
        ...


@dataclass(frozen=True)
class ListedSplits:
    """Every split lists its stems; images in no list belong to no split.

    Raises:
        ConfigurationError: If there is no split.
    """

    lists: Splits

    def __post_init__(self) -> None:
        _check_names(self.lists)

    @property
    def names(self) -> tuple[str, ...]:
        """The splits, in the order given."""
        return tuple(self.lists)

    def assign(self, stems: Sequence[str]) -> Splits:
        """The lists, once they are known to fit the images.

        Raises:
            DatasetError: If a stem is listed twice or has no image, or a list is empty.
        """
        _check_parted(self.lists, "stem")
        known = set(stems)
        for name, listed in self.lists.items():
            if missing := [stem for stem in listed if stem not in known]:
                hint = _suffix_hint(missing, known)
                raise DatasetError(
                    f"split {name!r} lists {len(missing)} stems that have no image:"
                    f" {listing(missing)}{hint}"
                )
        return _filled(self.lists)

    def draw(self, stems: Sequence[str]) -> Splits:  # noqa: ARG002 - the lists are the splits
        """The lists, whether or not their images are there."""
        return self.lists


@dataclass(frozen=True)
class FractionSplits:
    """Images are drawn into splits by their share; those of one group stay together.

    The draw depends on the seed and the stems alone: not on the order of files, nor the machine.

    Attributes:
        fractions: The share of each split; they sum to 1.
        seed: Another seed is another draw.
        group: Regular expression whose first parentheses find an image's group in its stem.

    Raises:
        ConfigurationError: If the shares do not sum to 1, or the expression has no parentheses.
    """

    fractions: Mapping[str, float]
    seed: int = 0
    group: str | None = None

    def __post_init__(self) -> None:
        _check_names(self.fractions)
        total = math.fsum(self.fractions.values())
        # Also false for a share that is no number at all.
        if not (abs(total - 1) <= 1e-6 and min(self.fractions.values()) > 0):
            raise ConfigurationError(
                f"fractions must be over 0 and sum to 1, got {dict(self.fractions)}"
                f" with the sum {total:g}"
            )
        if self.group is not None:
            _check_expression(self.group)

    @property
    def names(self) -> tuple[str, ...]:
        """The splits, in the order given."""
        return tuple(self.fractions)

    def assign(self, stems: Sequence[str]) -> Splits:
        """Line the groups up at random and cut where the shares end.

        A group belongs to the split in which its middle falls, so a split's share is off by less
        than the largest group.

        Raises:
            DatasetError: If a stem has no group or a split stays empty.
        """
        return _filled(self.draw(stems))

    def draw(self, stems: Sequence[str]) -> Splits:
        """As `assign`, with empty splits where there are too few images.

        Raises:
            DatasetError: If a stem has no group.
        """
        groups = _grouped(stems, self.group)
        ends = [len(stems) * end for end in accumulate(self.fractions.values())]
        parts: dict[str, list[str]] = {name: [] for name in self.fractions}
        before = 0
        for group in sorted(groups, key=self._hash):
            middle = before + len(groups[group]) / 2
            split = sum(end <= middle for end in ends[:-1])
            parts[self.names[split]] += groups[group]
            before += len(groups[group])
        return {name: tuple(sorted(part)) for name, part in parts.items()}

    def _hash(self, group: str) -> bytes:
        # A hash, as the streams of random generators may change from release to release.
        return hashlib.sha256(f"{self.seed}:{group}".encode()).digest()


@dataclass(frozen=True)
class GroupSplits:
    """Every split lists its groups; images of groups in no list belong to no split.

    Attributes:
        group: Regular expression whose first parentheses find an image's group in its stem.
        groups: The groups of each split.

    Raises:
        ConfigurationError: If there is no split, or the expression has no parentheses.
    """

    group: str
    groups: Splits

    def __post_init__(self) -> None:
        _check_names(self.groups)
        _check_expression(self.group)

    @property
    def names(self) -> tuple[str, ...]:
        """The splits, in the order given."""
        return tuple(self.groups)

    def assign(self, stems: Sequence[str]) -> Splits:
        """Give every split the images of its groups.

        Raises:
            DatasetError: If a stem has no group, a group is listed twice or has no image.
        """
        _check_parted(self.groups, "group")
        found = _grouped(stems, self.group)
        for name, listed in self.groups.items():
            if missing := [group for group in listed if group not in found]:
                raise DatasetError(
                    f"split {name!r} lists groups that no image belongs to: {listing(missing)};"
                    f" the images' groups are {listing(sorted(found))}"
                )
        return _filled(self.draw(stems))

    def draw(self, stems: Sequence[str]) -> Splits:
        """As `assign`, passing over groups that have no image.

        Raises:
            DatasetError: If a stem has no group.
        """
        found = _grouped(stems, self.group)
        return {
            name: tuple(sorted(stem for group in listed for stem in found.get(group, ())))
            for name, listed in self.groups.items()
        }


def _check_names(splits: Mapping[str, object]) -> None:
    if not splits:
        raise ConfigurationError("expected at least one split, such as train, got none")


def _check_expression(expression: str) -> None:
    try:
        groups = re.compile(expression).groups
    except re.error as error:
        raise ConfigurationError(
            f"group {expression!r} is no regular expression: {error}"
        ) from error
    if groups == 0:
        raise ConfigurationError(
            f"group {expression!r} needs parentheses around what names the group, as in ^(..)_"
        )


def _check_parted(splits: Splits, noun: str) -> None:
    counts = Counter(item for listed in splits.values() for item in listed)
    if twice := [item for item, count in counts.items() if count > 1]:
        homes = [name for name, listed in splits.items() if twice[0] in listed]
        raise DatasetError(
            f"every {noun} belongs to one split once, but {listing(twice)} came twice"
            f" ({twice[0]} in {listing(homes)}); remove all but one"
        )


def _filled(splits: Splits) -> Splits:
    """The splits, none of which is empty."""
    for name, stems in splits.items():
        if not stems:
            raise DatasetError(
                f"split {name!r} got no image; give it a larger share, or leave it out"
            )
    return splits


def _grouped(stems: Iterable[str], expression: str | None) -> dict[str, list[str]]:
    """The stems of each group; every stem its own group where there is no expression."""
    groups: dict[str, list[str]] = {}
    for stem in stems:
        groups.setdefault(_group_of(stem, expression), []).append(stem)
    return groups


def _group_of(stem: str, expression: str | None) -> str:
    if expression is None:
        return stem
    found = re.search(expression, stem)
    if found is None or found[1] is None:
        raise DatasetError(f"group {expression!r} finds nothing in the stem {stem!r}")
    return str(found[1])


def _suffix_hint(missing: Sequence[str], known: set[str]) -> str:
    if any(PurePath(stem).stem in known for stem in missing):
        return "; list stems, which are names without folder and suffix"
    return ""
