"""What a journal notes of one unit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from glnet.inference.position import Position


@dataclass
class UnitNotes:
    """What is known of one unit: a region, laid in one way.

    Attributes:
        position: How far its passes are.
        frames: The shapes of what is kept of a patch, by the names of answers.
    """

    position: Position = field(default_factory=Position)
    frames: dict[str, list[int]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "phase": self.position.phase,
            "done": self.position.done,
            "added": self.position.added,
            "skipped": sorted(self.position.skipped),
            "holed": sorted(self.position.holed),
            "sure": sorted(self.position.sure),
            "frames": self.frames,
        }

    @classmethod
    def from_dict(cls, of: Mapping[str, Any]) -> Self:
        """What was noted, of those plain values.

        Raises:
            KeyError: If something is missing.
            TypeError: If something is of another kind.
        """
        position = Position(
            of["phase"],
            of["done"],
            of["added"],
            frozenset(of["skipped"]),
            frozenset(of["holed"]),
            frozenset(of.get("sure", ())),
        )
        return cls(position, of["frames"])
