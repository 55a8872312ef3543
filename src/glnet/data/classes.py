"""The classes of a dataset: names and colours, plain enough to travel in a checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glnet.data.colors import Color, as_hex, free_color, parse_color
from glnet.errors import ConfigurationError

IGNORE_INDEX = 255
"""The label of pixels that neither train nor count."""


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """A class: what it is called and the colour in which results show it.

    Raises:
        ConfigurationError: If the name is empty or the colour is none.
    """

    name: str
    color: Color

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise ConfigurationError(f"expected a class name, got {self.name!r}")
        object.__setattr__(self, "color", parse_color(self.color))

    def to_dict(self) -> dict[str, str]:
        """The class in words that JSON and YAML keep: ``{"name": ..., "color": "#rrggbb"}``."""
        return {"name": self.name, "color": as_hex(self.color)}

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> "ClassInfo":
        """The class that `to_dict` wrote.

        Raises:
            ConfigurationError: If a key is missing or unknown, or a value is of the wrong type.
        """
        if set(value) != {"name", "color"}:
            raise ConfigurationError(
                f"a class has the keys name and color, got {', '.join(map(str, value)) or 'none'}"
            )
        name = value["name"]
        if not isinstance(name, str):
            raise ConfigurationError(f"expected a class name, got {name!r}")
        return cls(name, parse_color(value["color"]))


def named_classes(classes: Sequence[str | ClassInfo]) -> tuple[ClassInfo, ...]:
    """Classes out of names; one that comes without a colour gets one that no other has.

    Raises:
        ConfigurationError: If a name is empty.
    """
    taken = [info.color for info in classes if isinstance(info, ClassInfo)]
    named = []
    for info in classes:
        if not isinstance(info, ClassInfo):
            taken.append(free_color(taken))
            info = ClassInfo(info, taken[-1])  # noqa: PLW2901
        named.append(info)
    return tuple(named)
