"""Which files in a folder are images, which are masks, and which belong together."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from glnet.data.faults import Fault
from glnet.data.listing import listing
from glnet.data.sample import Sample

COMPANIONS = (
    ".xml", ".ovr", ".msk", ".json", ".txt", ".csv", ".md", ".prj",
    ".wld", ".tfw", ".tifw", ".tiffw", ".jgw", ".jpgw", ".pgw", ".pngw", ".j2w", ".rpb", ".db",
)  # fmt: skip
"""Suffixes of files that lie beside pictures (georeferences, overviews, notes) and are none."""


@dataclass(frozen=True, slots=True)
class Naming:
    """How files of a kind are called: ``<stem><ending><suffix>``.

    Attributes:
        ending: What the name ends in before its suffix, such as ``_mask``.
        suffixes: In lower case; empty takes any.
        stem: What stems look like, as a regular expression.
        example: Such a stem, for messages.
    """

    ending: str = ""
    suffixes: tuple[str, ...] = ()
    stem: str = ".*"
    example: str = "<id>"

    def stem_of(self, path: Path) -> str | None:
        """The stem of a file; None for one that is called otherwise."""
        if self.suffixes and path.suffix.lower() not in self.suffixes:
            return None
        if not path.stem.endswith(self.ending):
            return None
        stem = path.stem.removesuffix(self.ending)
        return stem if re.fullmatch(self.stem, stem) else None

    def __str__(self) -> str:
        return f"{self.example}{self.ending}{self.suffixes[0] if self.suffixes else '.*'}"


class Pairs(NamedTuple):
    """Images with their masks, in the order of their stems, and what did not fit."""

    samples: tuple[Sample, ...]
    faults: tuple[Fault, ...]
    strays: tuple[Path, ...]
    """Files that are called neither as an image nor as a mask."""


def pair(images: Path, masks: Path, image: Naming, mask: Naming) -> Pairs:
    """Pair images and masks of equal stem, which may lie in one folder."""
    image_files, images_twice = _by_stem(images, image)
    mask_files, masks_twice = _by_stem(masks, mask)
    samples = [Sample(stem, image_files[stem], mask_files.get(stem)) for stem in image_files]
    orphans = sorted(set(mask_files) - set(image_files))
    faults = [*images_twice, *masks_twice]
    if orphans:
        files = tuple(str(mask_files[stem]) for stem in orphans)
        message = (
            f"{masks}: no image in {images} for {len(orphans)} of {len(mask_files)} masks:"
            f" {listing(orphans)}"
        )
        faults.append(Fault("mask without image", message, files))
    return Pairs(tuple(samples), tuple(faults), _strays(images, masks, image, mask))


def pictures(folder: Path) -> list[Path]:
    """Visible files that are no companions of others, in the order of their names."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.name[0] != "." and path.suffix.lower() not in COMPANIONS
    )


def named(folder: Path, naming: Naming) -> Iterable[Path]:
    """The pictures in a folder that are called so."""
    return (path for path in pictures(folder) if naming.stem_of(path) is not None)


def _by_stem(folder: Path, naming: Naming) -> tuple[dict[str, Path], list[Fault]]:
    """The first file of every stem, in the order of stems; and the others."""
    found: dict[str, Path] = {}
    faults: list[Fault] = []
    for path in named(folder, naming):
        stem = str(naming.stem_of(path))
        if stem in found:
            message = (
                f"{folder}: two files of the stem {stem!r}, {found[stem].name} and {path.name};"
                " remove one"
            )
            faults.append(Fault("name", message, (str(path),)))
        found.setdefault(stem, path)
    return dict(sorted(found.items())), faults


def _strays(images: Path, masks: Path, image: Naming, mask: Naming) -> tuple[Path, ...]:
    """Files that are not called as those in their folder should be."""
    allowed: dict[Path, list[Naming]] = {}
    allowed.setdefault(images, []).append(image)
    allowed.setdefault(masks, []).append(mask)
    return tuple(
        path
        for folder, namings in allowed.items()
        for path in pictures(folder)
        if all(naming.stem_of(path) is None for naming in namings)
    )
