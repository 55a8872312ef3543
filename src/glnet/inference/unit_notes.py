"""What a journal notes of one unit."""

from dataclasses import dataclass, field
from typing import Any, Self, get_args

from glnet.inference.position import Phase, Position
from glnet.model.answers import Answer


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
    def from_dict(cls, of: object) -> Self:
        """What was noted, of those plain values.

        Raises:
            ValueError: If something is missing or of another kind.
        """
        noted = mapping_of(of, "a unit")
        phase = next((of for of in get_args(Phase) if of == noted.get("phase")), None)
        if phase is None:
            raise ValueError(f"a unit's phase is {noted.get('phase')!r}")
        position = Position(
            phase,
            _count(noted.get("done")),
            _count(noted.get("added")),
            frozenset(_counts(noted.get("skipped"))),
            frozenset(_counts(noted.get("holed"))),
            frozenset(_counts(noted.get("sure", []))),
        )
        frames = mapping_of(noted.get("frames"), "a unit's frames")
        return cls(position, {Answer(name).value: _counts(of) for name, of in frames.items()})


def mapping_of(of: object, what: str) -> dict[str, Any]:
    """It, as it came out of JSON.

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(of, dict):
        raise ValueError(f"{what} must be a mapping, is {_kind(of)}")
    return of


def list_of(of: object, what: str) -> list[object]:
    """It, as it came out of JSON.

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(of, list):
        raise ValueError(f"{what} must be a list, is {_kind(of)}")
    return of


def _counts(of: object) -> list[int]:
    return [_count(number) for number in list_of(of, "what is counted")]


def _count(of: object) -> int:
    # True is an int too.
    if type(of) is not int or of < 0:
        raise ValueError(f"a count must be a whole number from 0 on, is {_kind(of)}")
    return of


def _kind(of: object) -> str:
    return "missing" if of is None else str(of) if type(of) is int else type(of).__name__
