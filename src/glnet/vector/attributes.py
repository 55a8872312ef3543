"""What features say of themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Legend:
    """Names and colours of labels, from 0 on; labels beyond have plain ones."""

    names: Sequence[str]
    colors: Sequence[Color]

    def name(self, label: int) -> str:
        """What a label is called; its number, where it has no name."""
        return self.names[label] if label < len(self.names) else str(label)

    def color(self, label: int) -> Color:
        """(red, green, blue) in 0..255; the grey of its number, where it has no colour."""
        return self.colors[label] if label < len(self.colors) else (label, label, label)

    def hex_color(self, label: int) -> str:
        """The colour as "#rrggbb"."""
        return "#{:02x}{:02x}{:02x}".format(*self.color(label))


class Flavor(StrEnum):
    """For whom a GeoJSON file is."""

    PLAIN = "plain"
    """Maps: properties class, name, color and area, as in a GeoPackage."""
    QUPATH = "qupath"
    """QuPath: annotations with a classification, in pixels of the slide."""
