"""Colours of classes: how they are written, and the ones that are used when none is given."""

import colorsys
import re
from collections.abc import Iterable

from glnet.errors import ConfigurationError

Color = tuple[int, int, int]
"""Red, green and blue, each 0 to 255."""

QUALITATIVE: tuple[Color, ...] = (
    (127, 127, 127),
    (230, 159, 0),
    (0, 158, 115),
    (86, 180, 233),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
    (240, 228, 66),
    (122, 75, 42),
    (148, 103, 189),
    (154, 205, 50),
    (23, 190, 207),
)
"""Grey for what is usually the background, then Okabe and Ito's colours and some more."""

_GOLDEN_RATIO = 0.6180339887498949


def default_color(index: int) -> Color:
    """The colour of a class that was given none; the first five hundred all differ.

    Past the named colours, the hue advances by the golden ratio, so that neighbours differ most.
    """
    if index < len(QUALITATIVE):
        return QUALITATIVE[index]
    lightness = (0.85, 0.6, 0.45)[index % 3]
    red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN_RATIO % 1, 0.65, lightness)
    return round(255 * red), round(255 * green), round(255 * blue)


def free_color(taken: Iterable[Color]) -> Color:
    """The first default colour that no other class has."""
    used = set(taken)
    index = 0
    while default_color(index) in used:
        index += 1
    return default_color(index)


def parse_color(value: object) -> Color:
    """Read a colour written as ``"#rrggbb"`` or as three numbers.

    Raises:
        ConfigurationError: If it is neither.
    """
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)
    if isinstance(value, list | tuple) and len(value) == 3 and all(map(is_byte, value)):
        return value[0], value[1], value[2]
    raise ConfigurationError(
        f'expected a colour such as "#00c800" or [0, 200, 0], got {value!r}'
        " (YAML needs the quotes around #)"
    )


def is_byte(value: object) -> bool:
    """Whether a value is a whole number from 0 to 255."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255


def as_hex(color: Color) -> str:
    """The colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*color)
