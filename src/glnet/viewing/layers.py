"""What lies on an image, tile by tile, in colours."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glnet.data.classes import ClassInfo
from glnet.data.colors import default_color
from glnet.raster import Masked
from glnet.raster.writing.scores import SCORE_STEPS
from glnet.viewing.encoding import NOTHING, Encoded, picture, tinted
from glnet.viewing.sources import Source
from glnet.viewing.stretching import Stretch

Bytes = NDArray[np.uint8]

RIGHT, WRONG, TOO_MUCH, MISSED = range(4)
"""What a pixel of the errors is; the first is not shown."""

ERROR_COLORS = {WRONG: (213, 62, 79), TOO_MUCH: (230, 159, 0), MISSED: (0, 114, 178)}
"""Of pixels of another class; of those called a class wrongly, and of those of it not found.

The last two can be told apart by those who see no red or no green (Okabe and Ito).
"""

RAMP = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""The colours of probabilities from 0 to 1: viridis, at its quarters."""


class LayerKind(StrEnum):
    """What a layer's values mean."""

    PICTURE = "picture"
    LABELS = "labels"
    TRUTH = "truth"
    CONFIDENCE = "confidence"
    ERRORS = "errors"


@dataclass(frozen=True)
class Style:
    """How a layer is wanted.

    Attributes:
        hidden: Labels that are not shown.
        of: Of errors, the class they are of; any if None.
    """

    hidden: frozenset[int] = frozenset()
    of: int | None = None


class Tile(NamedTuple):
    """A tile as it is sent."""

    encoded: Encoded
    is_final: bool


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of an image.

    Attributes:
        kind: What its values mean.
        name: What the page calls it.
        sources: Where its pixels come from; of errors, labels and truth.
        classes: What its labels are called.
        stretch: How a picture's bands become brightness.
    """

    kind: LayerKind
    name: str
    sources: tuple[Source, ...]
    classes: tuple[ClassInfo, ...] = ()
    stretch: Stretch = field(default_factory=Stretch)

    @property
    def revision(self) -> int:
        """Another number once there is more to see."""
        return sum(source.revision for source in self.sources)

    @property
    def progress(self) -> float:
        """How much there is of what there will be, in 0..1."""
        return min(source.progress for source in self.sources)

    def tile(self, zoom: int, row: int, column: int, style: Style) -> Tile | None:
        """A tile in colours; None until its pixels can be read.

        Raises:
            RasterError: If the pixels cannot be read, or are no longer those that were opened.
        """
        is_final = all(source.is_final(zoom) for source in self.sources)
        found = [source.tile(zoom, row, column) for source in self.sources]
        parts = [of for of in found if of is not None]
        if len(parts) < len(found):
            return None
        return Tile(self._drawn(parts, style, is_exact=zoom == 0), is_final)

    def _drawn(self, parts: list[Masked], style: Style, *, is_exact: bool) -> Encoded:
        match self.kind:
            case LayerKind.PICTURE:
                shown = self.stretch.shown(parts[0].pixels)
                return picture(shown, parts[0].valid, exact=is_exact)
            case LayerKind.CONFIDENCE:
                return tinted(as_steps(parts[0]), confidence_colors(), _alphas(SCORE_STEPS + 1))
            case LayerKind.ERRORS:
                labels, truth = (as_labels(part) for part in parts)
                return tinted(errors(labels, truth, style.of), *_error_table())
            case LayerKind.LABELS | LayerKind.TRUTH:
                # A list of classes may be short: it is of a sample, or of somebody's names.
                alphas = _alphas(NOTHING)
                alphas[list(style.hidden)] = 0
                return tinted(as_labels(parts[0]), class_colors(self.classes), alphas)


def as_labels(found: Masked) -> Bytes:
    """Labels (height, width), `NOTHING` where there is none."""
    labels: Bytes = found.pixels[0]
    return labels if found.valid is None else np.where(found.valid, labels, np.uint8(NOTHING))


def as_steps(found: Masked) -> Bytes:
    """Probabilities as bytes, 0 to `SCORE_STEPS`; `NOTHING` where there is none."""
    values = found.pixels[0]
    steps: Bytes
    if values.dtype == np.uint8:
        steps = np.minimum(values, SCORE_STEPS)
    else:
        shares = np.nan_to_num(values.astype(np.float32), nan=0.0).clip(0, 1)
        steps = np.rint(shares * SCORE_STEPS).astype(np.uint8)
    return steps if found.valid is None else np.where(found.valid, steps, np.uint8(NOTHING))


def errors(labels: Bytes, truth: Bytes, of: int | None) -> Bytes:
    """Where labels are wrong, and how; of one class, or of any.

    What has no truth is not wrong, whatever it is called.

    Returns:
        (height, width) of `RIGHT`, `WRONG`, `TOO_MUCH` and `MISSED`.
    """
    if of is None:
        is_wrong = (labels != truth) & (truth != NOTHING)
        found: Bytes = np.where(is_wrong, WRONG, RIGHT).astype(np.uint8)
        return found
    is_called, is_there = labels == of, truth == of
    found = np.full(labels.shape, RIGHT, np.uint8)
    found[is_called & ~is_there & (truth != NOTHING)] = TOO_MUCH
    found[is_there & ~is_called] = MISSED
    return found


def class_colors(classes: tuple[ClassInfo, ...]) -> Bytes:
    """The colour of every value, (256, 3); of those beyond the classes, a default one."""
    table = np.zeros((256, 3), np.uint8)
    table[:NOTHING] = [class_of(value, classes).color for value in range(NOTHING)]
    return table


def class_of(value: int, classes: Sequence[ClassInfo]) -> ClassInfo:
    """What a value is called, also one that has no name."""
    if value < len(classes):
        return classes[value]
    return ClassInfo(f"class {value}", default_color(value))


def confidence_colors() -> Bytes:
    """The colour of every step of a probability, (256, 3)."""
    table = np.zeros((256, 3), np.uint8)
    at = np.linspace(0, SCORE_STEPS, len(RAMP))
    for channel, values in enumerate(np.transpose(RAMP)):
        shown = np.interp(np.arange(SCORE_STEPS + 1), at, values)
        table[: SCORE_STEPS + 1, channel] = np.rint(shown)
    return table


def _error_table() -> tuple[Bytes, Bytes]:
    colors, alphas = np.zeros((256, 3), np.uint8), np.zeros(256, np.uint8)
    for kind, color in ERROR_COLORS.items():
        colors[kind], alphas[kind] = color, 255
    return colors, alphas


def _alphas(count: int) -> Bytes:
    """The first values are seen, the others are not."""
    alphas = np.zeros(256, np.uint8)
    alphas[:count] = 255
    return alphas
