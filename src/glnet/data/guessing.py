"""A description to start from, for a folder that has none: guessed from names and mask values."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from glnet.data.colors import Color, as_hex, default_color
from glnet.data.description import DatasetDescription
from glnet.data.description_file import DESCRIPTION_NAME, describe
from glnet.data.pairing import pictures
from glnet.data.scanning import rows_of
from glnet.data.sections import Section
from glnet.errors import DatasetError, RasterError
from glnet.geometry import strips
from glnet.raster import Palette, RasterFile, open_raster

MOST_CLASSES = 32
"""Masks of more values are taken for grey, or for colours that are not pure."""

BINARIZE = 128
FEWEST_TO_SPLIT = 5
SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}

GROUP_HINT = "  # group: ^([^_]+)_    would keep images of one patient or place in one split\n"
"""For whom drawing image by image would leak from training into validation."""

Found = dict[str, Any]
"""A part of a description, as YAML holds it."""


class Proposal(NamedTuple):
    """A description and the file that says the same."""

    description: DatasetDescription
    text: str


class _Values(NamedTuple):
    """What the masks hold, all together."""

    numbers: frozenset[int]
    """Of masks with one band."""
    colors: NDArray[np.uint32]
    """Red, green and blue in one number, of masks with three."""
    palette: dict[int, Color]
    has_colors: bool
    """Whether most masks have three."""


def propose(root: Path, progress: Callable[[int, int], None]) -> Proposal:
    """Guess a description of ``images`` and ``masks``; names are numbers, to be filled in.

    Raises:
        DatasetError: If no mask can be read, or masks hold what no encoding means.
    """
    images = [path.stem for path in pictures(root / "images")]
    masks = pictures(root / "masks")
    values = _collect(root / "masks", masks, progress)
    read = _from_colors if values.has_colors else _from_numbers
    found = read(root / "masks", values)
    found |= _stems(images, [path.stem for path in masks])
    found |= _splits(root, len(images))
    description = describe(Section(found, root / DESCRIPTION_NAME))
    text = yaml.safe_dump(found, sort_keys=False, default_flow_style=None)
    if "fractions" in found.get("splits", {}):
        text += GROUP_HINT
    return Proposal(description, text)


def _collect(folder: Path, masks: Sequence[Path], progress: Callable[[int, int], None]) -> _Values:
    numbers: set[int] = set()
    is_seen = np.zeros(1 << 24, np.bool_)
    palette: dict[int, Color] = {}
    bands: list[int] = []
    for done, path in enumerate(masks):
        progress(done, len(masks))
        try:
            with open_raster(path, Palette.KEEP) as raster:
                _add(raster, numbers, is_seen)
                palette |= raster.palette or {}
                bands.append(raster.bands)
        except RasterError:  # The check that follows tells of it.
            continue
    if not bands:
        raise DatasetError(f"{folder}: no mask that can be read, so there is nothing to propose")
    colors = np.flatnonzero(is_seen).astype(np.uint32)
    return _Values(frozenset(numbers), colors, palette, bands.count(3) > len(bands) / 2)


def _add(raster: RasterFile, numbers: set[int], is_seen: NDArray[np.bool_]) -> None:
    is_index = raster.bands == 1 and raster.dtype.kind in "ui"
    if not is_index and (raster.bands != 3 or raster.dtype != np.uint8):
        raise DatasetError(
            f"{raster.name}: expected a mask of 1 band of whole numbers or 3 bands of uint8,"
            f" got {raster.bands} of {raster.dtype}"
        )
    for strip in strips(raster.size, rows_of(raster.size)):
        pixels = raster.read(strip)
        if is_index:
            numbers.update(np.unique(pixels).tolist())
        else:
            red, green, blue = pixels.astype(np.uint32)
            is_seen[red << 16 | green << 8 | blue] = True


def _from_numbers(folder: Path, values: _Values) -> Found:
    numbers = sorted(values.numbers)
    if len(numbers) > MOST_CLASSES and not 0 <= numbers[0] <= numbers[-1] <= 255:
        raise DatasetError(
            f"{folder}: masks hold {len(numbers)} values, {numbers[0]} to {numbers[-1]}, which are"
            " too many for classes and are no grey; do they count objects?"
        )
    if values.numbers == {0, 255} or len(numbers) > MOST_CLASSES:
        return _black_and_white()
    ignore = {"ignore": 255} if 255 in numbers and not values.palette else {}
    known = [number for number in numbers if number != 255 or not ignore]
    # A mask of one value says nothing of the others; there are at least two classes.
    known += [number for number in (0, 1) if len(known) < 2 and number not in known]
    known.sort()
    is_plain = known == list(range(len(known)))
    colors = [values.palette.get(n) or default_color(k) for k, n in enumerate(known)]
    mask = {"encoding": "index", **({} if is_plain else {"values": known}), **ignore}
    return {"classes": _classes(colors), "mask": mask}


def _from_colors(folder: Path, values: _Values) -> Found:
    codes = values.colors
    bands = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    is_grey = bool((bands == bands[:, :1]).all())
    if is_grey and ({*bands[:, 0].tolist()} <= {0, 255} or len(bands) > MOST_CLASSES):
        return _black_and_white()
    binarize = {"binarize": BINARIZE} if len(bands) > MOST_CLASSES else {}
    if binarize:
        bands = np.unique(np.where(bands >= BINARIZE, 255, 0), axis=0)
    if len(bands) < 2:
        raise DatasetError(f"{folder}: all masks have one and the same colour")
    colors = [(int(red), int(green), int(blue)) for red, green, blue in bands]
    return {"classes": _classes(colors), "mask": {"encoding": "palette", **binarize}}


def _black_and_white() -> Found:
    colors = [default_color(0), default_color(1)]
    return {"classes": _classes(colors), "mask": {"encoding": "threshold"}}


def _classes(colors: Iterable[Color]) -> list[Found]:
    return [{"name": f"class {k}", "color": as_hex(of)} for k, of in enumerate(colors)]


def _stems(images: Sequence[str], masks: Sequence[str]) -> Found:
    """The endings with which most images find their mask, the shortest of them."""

    def matches(endings: tuple[str, str]) -> tuple[int, int]:
        pairs = {stem.removesuffix(endings[0]) for stem in images}
        found = pairs & {stem.removesuffix(endings[1]) for stem in masks}
        return len(found), -len("".join(endings))

    choices = ((image, mask) for image in _endings(images) for mask in _endings(masks))
    best = max(choices, key=matches)
    stems = {key: ending for key, ending in zip(("image", "mask"), best, strict=True) if ending}
    return {"stems": stems} if stems else {}


def _endings(stems: Sequence[str]) -> list[str]:
    """None, and what all stems end in from some separator on."""
    first = stems[0] if stems else ""
    ends = [first[found.start() :] for found in re.finditer("(?<!^)[-_. ]", first)]
    return ["", *(end for end in ends if all(stem.endswith(end) for stem in stems))]


def _splits(root: Path, images: int) -> Found:
    """Text files in ``splits``, or shares where there is enough to share."""
    lists = sorted((root / "splits").glob("*.txt"))
    if lists:
        return {"splits": {"lists": {path.stem: f"splits/{path.name}" for path in lists}}}
    return {"splits": {"fractions": SHARES, "seed": 0}} if images >= FEWEST_TO_SPLIT else {}
