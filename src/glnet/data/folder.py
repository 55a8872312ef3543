"""The folder contract: `ROOT/images/*`, `ROOT/masks/*`, paired by stem, and a description."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from glnet.data.description import DatasetDescription
from glnet.data.description_file import DESCRIPTION_NAME, read_description
from glnet.data.listing import listing
from glnet.data.masks import LabelRaster, open_labels
from glnet.data.splits import Splits
from glnet.errors import DatasetError
from glnet.raster import Raster, open_raster

ALL = "all"
"""The one split of a dataset whose description names none."""

COMPANIONS = (
    ".xml", ".ovr", ".msk", ".json", ".txt", ".csv", ".md", ".prj",
    ".wld", ".tfw", ".tifw", ".tiffw", ".jgw", ".jpgw", ".pgw", ".pngw", ".j2w", ".rpb", ".db",
)  # fmt: skip
"""Suffixes of files that lie beside pictures (georeferences, overviews, notes) and are none."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An image and, where it has one, its mask; they share the stem."""

    stem: str
    image: Path
    mask: Path | None = None

    def open_image(self) -> AbstractContextManager[Raster]:
        """The image's pixels, for a ``with`` block.

        Raises:
            RasterError: If the file cannot be opened.
        """
        return open_raster(self.image)

    def open_labels(self, description: DatasetDescription) -> AbstractContextManager[LabelRaster]:
        """The labels, once the mask is known to be as large as the image; for a ``with`` block.

        Raises:
            DatasetError: If there is no mask, its size is not the image's, or its pixels are of a
                kind that the encoding cannot mean.
            RasterError: If a file cannot be opened.
        """
        if self.mask is None:
            raise DatasetError(f"{self.image}: the image has no mask to read labels from")
        return open_labels(self.mask, description, self.image)


class SegmentationFolder:
    """Labelled images in a folder. Only names are looked at, no pixels.

    Args:
        root: The folder that holds ``images`` and ``masks``.
        description: Classes, encoding and splits.

    Raises:
        DatasetError: If the folder is not as it should be: no images, two images or masks of one
            stem, masks without image, or splits that do not fit the images.
    """

    def __init__(self, root: str | Path, description: DatasetDescription) -> None:
        self.root = Path(root)
        self.description = description
        self.samples = _pair(self.root, description)
        self._by_stem = {sample.stem: sample for sample in self.samples}
        self._splits = _split(self.root, description, tuple(self._by_stem))

    @classmethod
    def open(
        cls, root: str | Path, description_file: str | Path | None = None
    ) -> "SegmentationFolder":
        """The folder with the description in a file, by default its own ``dataset.yaml``.

        Raises:
            ConfigurationError: If the description is missing or not as it should be.
            DatasetError: If the folder is not as it should be.
        """
        file = Path(root) / DESCRIPTION_NAME if description_file is None else description_file
        return cls(root, read_description(file))

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self._splits)

    def split(self, name: str) -> tuple[Sample, ...]:
        """The samples of a split, every one with its mask.

        Raises:
            DatasetError: If there is no such split, or an image of it has no mask.
        """
        if name not in self._splits:
            raise DatasetError(
                f"{self.root}: no split {name!r}; known are {', '.join(self._splits)}"
            )
        samples = tuple(self._by_stem[stem] for stem in self._splits[name])
        if bare := [sample.stem for sample in samples if sample.mask is None]:
            raise DatasetError(
                f"{self.root}: {len(bare)} images of split {name!r} have no mask:"
                f" {listing(bare)}; add {self.root / 'masks'}/{bare[0]}.*,"
                " or keep them out of the split"
            )
        return samples


def _pair(root: Path, description: DatasetDescription) -> tuple[Sample, ...]:
    """Every image with its mask, in the order of their stems."""
    if not (root / "images").is_dir():
        raise DatasetError(
            f"{root}: expected the folders images and masks, found no {root / 'images'}"
        )
    images = _by_stem(root / "images", description.endings.image)
    masks = _by_stem(root / "masks", description.endings.mask)
    if not images:
        raise DatasetError(f"{root / 'images'}: no image there")
    if orphans := sorted(set(masks) - set(images)):
        raise DatasetError(
            f"{root}: {len(orphans)} masks have no image: {listing(orphans)};"
            " a pair shares its stem, or say in stems how their names end"
        )
    return tuple(Sample(stem, images[stem], masks.get(stem)) for stem in sorted(images))


def _by_stem(folder: Path, ending: str) -> dict[str, Path]:
    """The pictures in a folder, by their names without suffix and ending."""
    found: dict[str, Path] = {}
    for path in _pictures(folder):
        if not path.stem.endswith(ending):
            raise DatasetError(
                f"{path}: the name should end in {ending!r}; rename it or correct stems"
            )
        stem = path.stem.removesuffix(ending)
        if stem in found:
            raise DatasetError(
                f"{folder}: two files of the stem {stem!r}, {found[stem].name} and {path.name};"
                " remove one"
            )
        found[stem] = path
    return found


def _pictures(folder: Path) -> Iterable[Path]:
    """Visible files that are no companions of others, in the order of their names."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.name[0] != "." and path.suffix.lower() not in COMPANIONS
    )


def _split(root: Path, description: DatasetDescription, stems: tuple[str, ...]) -> Splits:
    if description.splits is None:
        return {ALL: stems}
    try:
        return description.splits.assign(stems)
    except DatasetError as error:
        raise DatasetError(f"{root}: {error}") from error
