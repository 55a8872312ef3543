"""Labels as people look at them: a small picture, and what its colours mean.

Read strip by strip, so that showing a label map of any size takes the memory of some rows.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glnet.data.classes import ClassInfo, named_classes
from glnet.errors import InputMismatchError, RasterError
from glnet.geometry import Size, Window, strips
from glnet.inference.answering import NODATA_LABEL
from glnet.inference.overlay import LabelPicture
from glnet.inference.settings import quiet
from glnet.inference.source import AS_IT_IS, opened
from glnet.markup import Html, picture, swatch, text
from glnet.model.checkpoint import Model
from glnet.raster import ArrayRaster, Palette, open_raster, png_bytes, write_picture

SIDE = 640
"""Of a picture, in pixels, if nothing is said: what a notebook shows at once."""

LARGEST_SIDE = 2048
"""Beyond this, a picture is for a viewer, and makes a notebook's file large."""

STRIP_PIXELS = 4_000_000
"""About as many labels are held at once."""

Labels = NDArray[np.uint8]
Classes = Model | Sequence[str | ClassInfo]
Color = tuple[int, int, int]


class Entry(NamedTuple):
    """A class of a legend: its name, colour and share of all pixels that are labelled."""

    name: str
    color: Color
    share: float


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture of labels, which a notebook draws with its legend.

    Nothing is opened or written before it is asked for.

    Attributes:
        title: What it shows.
        pixels: (height, width, 3).
        size: Of what is shown, in pixels.
        legend: The classes that occur, the largest first.
        note: What else there is to know, in one line.
    """

    title: str
    pixels: NDArray[np.uint8]
    size: Size
    legend: tuple[Entry, ...]
    note: str | None = None

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the picture as PNG or JPEG, by its suffix.

        Raises:
            OutputError: If it cannot be written there.
        """
        write_picture(path, self.pixels, overwrite)

    def __repr__(self) -> str:
        height, width = self.pixels.shape[:2]
        shares = ", ".join(f"{of.name} {of.share:.1%}" for of in self.legend[:4])
        more = ", ..." if len(self.legend) > 4 else ""
        return (
            f"{self.title}, {self.size} pixels, as a picture of {height}x{width} "
            f"(.save(path) writes it): {shares}{more}"
        )

    def _repr_html_(self) -> str:
        legend = "".join(
            "<span style='display:inline-block;margin-right:1.2em'>"
            f"{swatch(of.color)}{text(of.name)} {of.share:.1%}</span>"
            for of in self.legend
        )
        note = "" if self.note is None else f"<div style='opacity:0.7'>{text(self.note)}</div>"
        drawn = picture(png_bytes(self.pixels), self.title, self.pixels.shape[1])
        return Html(
            f"<div><div><b>{text(self.title)}</b>, {text(self.size)} pixels</div>"
            f"{drawn}<div>{legend}</div>{note}</div>"
        )


def show(
    labels: str | Path | Labels,
    image: str | Path | NDArray[Any] | None = None,
    classes: Classes | None = None,
    *,
    side: int = SIDE,
) -> Shown:
    """Labels in small, over their image if it is named, with a legend: for a notebook.

    Args:
        labels: What `glnet.segment` gives, (height, width), or a label map on disk.
        image: What was segmented.
        classes: The model, or names; by default what a label map's file says of colours.
        side: Of the picture's longer side, in pixels; up to 2048.

    Raises:
        InputMismatchError: If the labels are no uint8 array (height, width), the image is of
            another size, or the side is out of range.
        RasterError: If a file cannot be read.
    """
    if not 1 <= side <= LARGEST_SIDE:
        raise InputMismatchError(f"side must be from 1 to {LARGEST_SIDE} pixels, got {side}")
    with _opened_labels(labels) as found:
        drawn = LabelPicture(found.size, side)
        counts = np.zeros(NODATA_LABEL + 1, np.int64)
        for strip in strips(found.size, max(1, STRIP_PIXELS // found.size.width)):
            read = found.read(strip)
            drawn.add(strip, read)
            counts += np.bincount(read.ravel(), minlength=len(counts))
        infos = _infos(classes, found.palette, counts)
    colors = [info.color for info in infos]
    pixels = _over(drawn, image, found, colors)
    return Shown(found.name, pixels, found.size, _legend(infos, counts), _note(counts, len(infos)))


@dataclass(frozen=True, eq=False)
class _Found:
    """Open labels: read from the top to the bottom, in full rows."""

    name: str
    size: Size
    read: Callable[[Window], Labels]
    palette: dict[int, Color] | None = None


@contextmanager
def _opened_labels(labels: str | Path | Labels) -> Iterator[_Found]:
    if isinstance(labels, np.ndarray):
        if labels.ndim != 2 or labels.dtype != np.uint8 or 0 in labels.shape:
            raise InputMismatchError(
                "labels are an array (height, width) of uint8, "
                f"got {labels.shape} of {labels.dtype}"
            )
        yield _Found("labels", Size(*labels.shape), lambda window: labels[window.slices])
        return
    with open_raster(labels, Palette.KEEP) as file:
        if file.bands != 1 or file.dtype != np.uint8:
            raise InputMismatchError(
                f"{labels} is no label map: expected one band of uint8, "
                f"got {file.bands} of {file.dtype}"
            )
        # A PNG is read row by row so, and never held.
        read = file.read if file.is_turned else lambda window: file.read_stored(window).pixels
        yield _Found(Path(labels).name, file.size, lambda window: read(window)[0], file.palette)


def _infos(
    classes: Classes | None, palette: dict[int, Color] | None, counts: NDArray[np.int64]
) -> tuple[ClassInfo, ...]:
    """The classes by label: as they are named, or as many as occur, in a file's own colours."""
    if isinstance(classes, Model):
        return classes.config.classes
    if classes is not None:
        known = named_classes(list(classes))
        if palette is None or any(isinstance(of, ClassInfo) for of in classes):
            return known
        return tuple(
            ClassInfo(info.name, palette.get(label, info.color)) for label, info in enumerate(known)
        )
    last = int(np.flatnonzero(counts[:NODATA_LABEL]).max(initial=-1))
    unnamed = named_classes([f"class {label}" for label in range(last + 1)])
    return tuple(
        ClassInfo(info.name, (palette or {}).get(label, info.color))
        for label, info in enumerate(unnamed)
    )


def _over(
    drawn: LabelPicture,
    image: str | Path | NDArray[Any] | None,
    found: _Found,
    colors: Sequence[Color],
) -> NDArray[np.uint8]:
    """The picture: labels on top of their image, or alone."""
    if image is None:
        return _flat(drawn.labels, colors)
    if isinstance(image, np.ndarray):
        raster = ArrayRaster(image)
        _check_size(raster.name, raster.size, found)
        return drawn.over(raster, colors)
    with opened(image, AS_IT_IS, Path(tempfile.gettempdir()), 512, quiet) as source:
        _check_size(str(image), source.raster.size, found)
        return drawn.over(source.raster, colors)


def _check_size(name: str, size: Size, found: _Found) -> None:
    if size != found.size:
        raise InputMismatchError(f"{name} is {size}, its labels {found.name} are {found.size}")


def _flat(labels: Labels, colors: Sequence[Color]) -> NDArray[np.uint8]:
    """Labels as plain colours; what has none is grey."""
    table = np.full((NODATA_LABEL + 1, 3), 128, np.uint8)
    table[: len(colors)] = np.reshape(colors, (-1, 3))
    flat: NDArray[np.uint8] = table[labels]
    return flat


def _legend(infos: Sequence[ClassInfo], counts: NDArray[np.int64]) -> tuple[Entry, ...]:
    labelled = max(1, int(counts[:NODATA_LABEL].sum()))
    entries = [
        Entry(info.name, info.color, int(counts[label]) / labelled)
        for label, info in enumerate(infos)
        if counts[label]
    ]
    return tuple(sorted(entries, key=lambda entry: -entry.share))


def _note(counts: NDArray[np.int64], known: int) -> str | None:
    nodata, unknown = int(counts[NODATA_LABEL]), int(counts[known:NODATA_LABEL].sum())
    parts = [
        *([f"{nodata:,} pixels without data"] if nodata else []),
        *([f"{unknown:,} pixels of classes that were not named"] if unknown else []),
    ]
    return "; ".join(parts) or None


def show_result(output: str, names: Sequence[str], image: str, side: int) -> Shown:
    """A result on disk: over its image where that is still there and can be read as it was.

    Args:
        output: The label map.
        names: Of its classes.
        image: What was segmented.
        side: As `show`.

    Raises:
        InputMismatchError: If the side is out of range.
        RasterError: If the label map cannot be read.
    """
    # A slide's level, bands or an image on a server are not known any more: labels say enough.
    try:
        return show(output, image, list(names), side=side)
    except (RasterError, InputMismatchError) as error:
        shown = show(output, None, list(names), side=side)
        return replace(shown, note=f"without the image, which cannot be laid under: {error}")
