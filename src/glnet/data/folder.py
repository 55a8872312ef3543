"""Labelled images in a folder, and the folder contract: `ROOT/images/*`, `ROOT/masks/*`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from glnet.data.description import DatasetDescription
from glnet.data.description_file import DESCRIPTION_NAME, read_description
from glnet.data.faults import Fault
from glnet.data.listing import listing
from glnet.data.pairing import Naming, Pairs, pair
from glnet.data.sample import Sample
from glnet.data.splits import Splits
from glnet.errors import DatasetError

ALL = "all"
"""The split that every dataset has: all images with masks. Where a description names no splits it
is the only one, and every image needs a mask."""

DatasetKind = Literal[
    "folder", "deepglobe", "deepglobe-published", "isic", "inria", "inria-official"
]
"""How a folder is laid out and split: after its own description, or as a benchmark's download."""


@dataclass(frozen=True)
class Contents:
    """What was found in a folder.

    Attributes:
        pairs: The images and masks, and what did not fit.
        images: Where images were looked for.
        masks: Where masks were looked for.
        splits: The stems of each split; of a partial download not all are there.
        faults: What is wrong with pairs or splits.
        kind: How the folder is laid out.
        groups: Of every stem, where the dataset has groups: its city, for Inria.
    """

    pairs: Pairs
    images: Path
    masks: Path
    splits: Splits
    faults: tuple[Fault, ...] = ()
    kind: DatasetKind = "folder"
    groups: Mapping[str, str] = field(default_factory=dict)


class SegmentationFolder:
    """Labelled images in a folder. Only names are looked at, no pixels.

    Args:
        root: The folder.
        description: Classes, encoding and splits.
        contents: What is in it; by default what lies in ``images`` and ``masks``, all of which
            must be as it should.

    Raises:
        DatasetError: If the folder is not as it should be: no images, two images or masks of one
            stem, masks without image, or splits that do not fit the images.
    """

    def __init__(
        self, root: str | Path, description: DatasetDescription, contents: Contents | None = None
    ) -> None:
        self.root = Path(root)
        self.description = description
        if contents is None:
            contents = find_contents(self.root, description)
            for fault in contents.faults:
                raise DatasetError(fault.message)
        self.contents = contents
        self.samples = contents.pairs.samples
        self._by_stem = {sample.stem: sample for sample in self.samples}
        labelled = tuple(sample.stem for sample in self.samples if sample.mask is not None)
        self._splits = {**contents.splits, ALL: contents.splits.get(ALL, labelled)}

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
    def name(self) -> str:
        """The folder, for messages."""
        return str(self.root)

    @property
    def kind(self) -> DatasetKind:
        """How the folder is laid out."""
        return self.contents.kind

    @property
    def groups(self) -> Mapping[str, str]:
        """The group of every stem, where there are groups: its city, for Inria."""
        return self.contents.groups

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits; `ALL` is one of them, the last where it is not described."""
        return tuple(self._splits)

    def stems(self, name: str) -> tuple[str, ...]:
        """The stems of a split, of a partial download also those that are not there.

        Raises:
            DatasetError: If there is no such split.
        """
        if name not in self._splits:
            raise DatasetError(
                f"{self.root}: no split {name!r}; known are {', '.join(self._splits)}"
            )
        return self._splits[name]

    def split(self, name: str) -> tuple[Sample, ...]:
        """The samples of a split, every one with its mask.

        Raises:
            DatasetError: If there is no such split, it is empty, or an image or mask of it is not
                there.
        """
        stems = self.stems(name)
        self._require_images(name, stems)
        samples = tuple(self._by_stem[stem] for stem in stems)
        if bare := [sample.stem for sample in samples if sample.mask is None]:
            raise DatasetError(
                f"{self.root}: {len(bare)} images of split {name!r} have no mask:"
                f" {listing(bare)}; looked in {self.contents.masks}: add their masks,"
                " or keep them out of the split"
            )
        return samples

    def absent(self, name: str) -> tuple[str, ...]:
        """The stems of a split whose image is not there.

        Raises:
            DatasetError: If there is no such split.
        """
        return tuple(stem for stem in self.stems(name) if stem not in self._by_stem)

    def _require_images(self, name: str, stems: tuple[str, ...]) -> None:
        there = len(self._splits[ALL])
        if absent := self.absent(name):
            raise DatasetError(
                f"{self.root}: {len(absent)} of the {len(stems)} images of split {name!r} are not"
                f" there: {listing(absent)}; looked in {self.contents.images};"
                f" split {ALL!r} has the {there} labelled images that are"
            )
        if not stems:
            way_out = f"; split {ALL!r} has {there}" if there else f" in {self.contents.masks}"
            why = "got none of the" if there else "is empty, as no mask belongs to one of the"
            raise DatasetError(
                f"{self.root}: split {name!r} {why} {len(self.samples)} images{way_out}"
            )


def find_contents(root: Path, description: DatasetDescription) -> Contents:
    """What lies in ``images`` and ``masks``; what does not fit is noted, not raised.

    Raises:
        DatasetError: If there are no images.
    """
    images, masks = root / "images", root / "masks"
    if not images.is_dir():
        raise DatasetError(f"{root}: expected the folders images and masks, found no {images}")
    endings = description.endings
    pairs = pair(images, masks, Naming(endings.image), Naming(endings.mask))
    faults = [*_misnamed(pairs, images, description), *map(_with_advice, pairs.faults)]
    if not pairs.samples and not faults:
        raise DatasetError(f"{images}: no image there")
    splits, split_faults = _split(root, description, tuple(of.stem for of in pairs.samples))
    return Contents(pairs, images, masks, splits, (*faults, *split_faults))


def _misnamed(pairs: Pairs, images: Path, description: DatasetDescription) -> list[Fault]:
    endings = description.endings
    return [
        Fault(
            "name",
            f"{path}: the name should end in"
            f" {(endings.image if path.parent == images else endings.mask)!r};"
            " rename it or correct stems",
            (str(path),),
        )
        for path in pairs.strays
    ]


def _with_advice(fault: Fault) -> Fault:
    if fault.kind != "mask without image":
        return fault
    advice = "; a pair shares its stem, or say in stems how their names end"
    return fault._replace(message=fault.message + advice)


def _split(
    root: Path, description: DatasetDescription, stems: tuple[str, ...]
) -> tuple[Splits, list[Fault]]:
    """The splits, and why they do not fit the images."""
    rule = description.splits
    if rule is None:
        return {ALL: stems}, []
    try:
        return rule.assign(stems), []
    except DatasetError as error:
        faults = [Fault("split", f"{root}: {error}", ())]
    try:
        return rule.draw(stems), faults
    except DatasetError:
        return {}, faults
