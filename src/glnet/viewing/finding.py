"""Which files lie on an image: those that are named, and those that `glnet segment` puts beside."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glnet.errors import ConfigurationError
from glnet.raster import class_names
from glnet.raster.gdal import VIRTUAL_PREFIX

SUFFIXES = (".tif", ".tiff", ".png")
"""Of label maps, in the order in which they are looked for."""

BRANCHES = ("global", "local")
"""Label maps of one branch alone, where somebody has saved them beside the labels."""


File = str | Path
"""A file; or a path of GDAL's virtual file systems, which is kept to the letter."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """What was named on the command line: a file for one image, or a folder.

    Attributes:
        labels: Label maps.
        confidence: How sure they are.
        truth: What is true.
        layers: Further label maps, by name.
    """

    labels: File | None = None
    confidence: File | None = None
    truth: File | None = None
    layers: tuple[tuple[str, File], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """An image and the files that lie on it."""

    image: File
    labels: File | None = None
    confidence: File | None = None
    probabilities: File | None = None
    truth: File | None = None
    boxes: Path | None = None
    others: tuple[tuple[str, File], ...] = ()

    @property
    def name(self) -> str:
        """What the image is called: the file without its folders."""
        return readable(Path(self.image).name)


def find_files(images: Sequence[str | Path], named: Named) -> tuple[ImageFiles, ...]:
    """The files of every image.

    In a folder that is named, a file is called as its image is, whatever its suffix. Where no
    labels are named, a label map of ours beside the image is taken: ``<stem>.tif``,
    ``<stem>_labels.tif`` or a PNG. Beside the labels lie ``<labels>_confidence.tif``,
    ``_probabilities.tif``, ``_boxes.geojson``, ``_global.tif`` and ``_local.tif``.

    Raises:
        ConfigurationError: If something named is not there, or one file is named for several
            images.
    """
    if not images:
        raise ConfigurationError("expected at least one image, got none")
    for image in images:
        _require_name(image)
    _require_matches(images, named)
    return tuple(_files_of(image, named, len(images)) for image in images)


def _require_matches(images: Sequence[str | Path], named: Named) -> None:
    """Refuse a folder that has no file for any of the images: it is not the one that was meant."""
    layers = [(f"--layer {name}", path) for name, path in named.layers]
    options = [
        ("--labels", named.labels),
        ("--confidence", named.confidence),
        ("--truth", named.truth),
        *layers,
    ]
    for option, path in options:
        if path is None or str(path).startswith(VIRTUAL_PREFIX) or not Path(path).is_dir():
            continue
        if not any(_in_folder(Path(path), Path(image)) for image in images):
            raise ConfigurationError(
                f"{option}: {path} has no file called as {Path(images[0]).name} is, nor as any "
                "other image; name the folder of such files, or a file"
            )


def readable(name: str) -> str:
    """A file's name in letters that can be sent: what is no UTF-8 becomes question marks."""
    return os.fsencode(name).decode(errors="replace")


def _require_name(image: File) -> None:
    if str(image) != readable(str(image)):
        raise ConfigurationError(
            f"{readable(str(image))}: the name is not in UTF-8, so that it cannot be opened; "
            "rename the file"
        )
    if Path(image).is_dir():
        raise ConfigurationError(
            f"'{image}' is a folder; name its images, such as '{Path(image) / '*.tif'}'"
        )


def _files_of(file: File, named: Named, images: int) -> ImageFiles:
    image = Path(file)
    labels = _chosen(named.labels, "--labels", image, images)
    if labels is None and named.labels is None:
        labels = _labels_beside(image)
    confidence = _chosen(named.confidence, "--confidence", image, images)
    others: list[tuple[str, File]] = [
        (name, found)
        for name, path in named.layers
        if (found := _chosen(path, f"--layer {name}", image, images)) is not None
    ]
    if labels is not None:
        others += [
            (f"{branch} branch alone", found)
            for branch in BRANCHES
            if (found := _beside(labels, f"{branch}.tif")) is not None
        ]
        confidence = confidence or _beside(labels, "confidence.tif")
    return ImageFiles(
        image=file,
        labels=labels,
        confidence=confidence,
        probabilities=None if labels is None else _beside(labels, "probabilities.tif"),
        truth=_chosen(named.truth, "--truth", image, images),
        boxes=None if labels is None else _beside(labels, "boxes.geojson"),
        others=tuple(others),
    )


def _chosen(named: File | None, option: str, image: Path, images: int) -> File | None:
    """What of a file or a folder belongs to an image."""
    if named is None or str(named).startswith(VIRTUAL_PREFIX):
        return named
    path = Path(named)
    if path.is_dir():
        return _in_folder(path, image)
    if not path.is_file():
        raise ConfigurationError(f"{option}: {path} does not exist; name a file or a folder")
    if images > 1:
        raise ConfigurationError(
            f"{option}: {path} is one file and there are {images} images; name a folder with a "
            "file for each, called as the image is"
        )
    return path


def _in_folder(folder: Path, image: Path) -> Path | None:
    for suffix in SUFFIXES:
        found = folder / f"{image.stem}{suffix}"
        if found.is_file() and not _is_same(found, image):
            return found
    found = folder / image.name
    return found if found.is_file() and not _is_same(found, image) else None


def _is_same(found: Path, image: Path) -> bool:
    """An image lies in the folder, too: it is not its own labels."""
    return image.is_file() and found.samefile(image)


def _labels_beside(image: Path) -> Path | None:
    for stem in (image.stem, f"{image.stem}_labels"):
        for suffix in SUFFIXES:
            found = image.with_name(stem + suffix)
            if found != image and found.is_file() and class_names(found):
                return found
    return None


def _beside(labels: File, what: str) -> Path | None:
    found = Path(labels).with_name(f"{Path(labels).stem}_{what}")
    return found if found.is_file() else None
