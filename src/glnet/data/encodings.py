"""How the pixels of a mask stand for classes: what the decoders need to know."""

from collections.abc import Sequence
from dataclasses import dataclass

from glnet.data.classes import ClassInfo
from glnet.data.colors import Color, as_hex, is_byte
from glnet.data.listing import listing
from glnet.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class IndexEncoding:
    """One band whose values are the classes, raw even where the picture has a palette.

    Attributes:
        values: The value of each class, in order; empty means 0, 1, 2, ...
        ignore: The value of pixels that do not count.
    """

    values: tuple[int, ...] = ()
    ignore: int | None = None

    def values_of(self, num_classes: int) -> tuple[int, ...]:
        """The value of each class."""
        return self.values or tuple(range(num_classes))


@dataclass(frozen=True, slots=True)
class PaletteEncoding:
    """Three bands that hold exactly the colour of a class.

    Attributes:
        ignore: The colour of pixels that do not count.
        binarize: Where given, channels from here on become 255 and the others 0, before anything
            is compared. DeepGlobe's masks need 128.
    """

    ignore: Color | None = None
    binarize: int | None = None


@dataclass(frozen=True, slots=True)
class ThresholdEncoding:
    """Grey that is class 1 above a threshold, and class 0 up to it."""

    threshold: float = 127


MaskEncoding = IndexEncoding | PaletteEncoding | ThresholdEncoding


def check_encoding(encoding: MaskEncoding, classes: Sequence[ClassInfo]) -> None:
    """Refuse an encoding that cannot tell these classes apart.

    Raises:
        ConfigurationError: Saying why, and what to change.
    """
    match encoding:
        case IndexEncoding():
            _check_index(encoding, classes)
        case PaletteEncoding():
            _check_palette(encoding, classes)
        case ThresholdEncoding():
            if len(classes) != 2:
                raise ConfigurationError(
                    f"encoding threshold tells exactly 2 classes apart, got {len(classes)};"
                    " list two classes, or use encoding: index or palette"
                )


def _check_index(encoding: IndexEncoding, classes: Sequence[ClassInfo]) -> None:
    values = encoding.values_of(len(classes))
    if len(values) != len(classes) or len(set(values)) != len(values):
        raise ConfigurationError(
            f"values must give each of the {len(classes)} classes a value of its own,"
            f" got {list(values)}"
        )
    if encoding.ignore in values:
        name = classes[values.index(encoding.ignore)].name
        raise ConfigurationError(
            f"ignore: {encoding.ignore} is also the value of class {name!r};"
            " leave that class out and give the others' values, such as values: [1, 2, 3]"
        )


def _check_palette(encoding: PaletteEncoding, classes: Sequence[ClassInfo]) -> None:
    colors = [info.color for info in classes]
    named = colors if encoding.ignore is None else [*colors, encoding.ignore]
    twice = sorted({as_hex(color) for color in named if named.count(color) > 1})
    if twice:
        raise ConfigurationError(
            f"encoding palette needs a colour of its own for each class and ignore,"
            f" {listing(twice)} came twice"
        )
    if encoding.binarize is None:
        return
    if not is_byte(encoding.binarize) or encoding.binarize == 0:
        raise ConfigurationError(f"binarize must be 1 to 255, got {encoding.binarize}")
    mixed = [as_hex(color) for color in named if not {0, 255}.issuperset(color)]
    if mixed:
        raise ConfigurationError(
            "with binarize, colours have only channels of 0 or 255 (00 or ff),"
            f" got {listing(mixed)}; change them or leave binarize out"
        )
