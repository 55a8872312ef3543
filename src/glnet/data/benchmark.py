"""What a benchmark's download looks like, and finding its images and masks in a folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from glnet.data.description import DatasetDescription
from glnet.data.faults import Fault
from glnet.data.folder import Contents, DatasetKind, SegmentationFolder
from glnet.data.listing import listing
from glnet.data.pairing import Naming, named, pair
from glnet.errors import DatasetError

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".001")
"""Suffixes of what downloads come in."""


class Layout(NamedTuple):
    """Where images and masks lie, seen from the folder that is given."""

    images: str
    masks: str


@dataclass(frozen=True)
class Benchmark:
    """A public dataset as it is downloaded.

    Attributes:
        kind: What it is called in commands.
        title: What it is called by people.
        description: Classes, encoding and splits.
        layouts: Where images and masks may lie, the download's own layout first.
        image: How images are called.
        mask: How masks are called.
        unlabelled: Folders of the download whose images come without masks.
        download: What to download, for messages.
        has_groups: Whether a stem is a group's name and a number.
    """

    kind: DatasetKind
    title: str
    description: DatasetDescription
    layouts: tuple[Layout, ...]
    image: Naming
    mask: Naming
    unlabelled: tuple[str, ...]
    download: str
    has_groups: bool = False

    def open(self, root: Path) -> SegmentationFolder:
        """The dataset in a folder; splits may be incomplete.

        Raises:
            DatasetError: If there are no images or no masks, saying where they were looked for.
        """
        place = self._place(root)
        pairs = pair(place.images, place.masks, self.image, self.mask)
        stems = tuple(sample.stem for sample in pairs.samples)
        rule = self.description.splits
        contents = Contents(
            pairs=pairs,
            images=place.images,
            masks=place.masks,
            splits={} if rule is None else rule.draw(stems),
            faults=tuple(map(self._with_advice, pairs.faults)),
            kind=self.kind,
            groups={stem: stem.rstrip("0123456789") for stem in stems} if self.has_groups else {},
        )
        return SegmentationFolder(root, self.description, contents)

    def is_at(self, root: Path) -> bool:
        """Whether a folder holds images and masks of this benchmark."""
        return any(self._has_masks(place) for place in self._places(root))

    def _place(self, root: Path) -> "Place":
        places = list(self._places(root))
        for place in places:
            if self._has_masks(place):
                return place
        if places:
            raise DatasetError(self._no_masks(root, places))
        raise DatasetError(self._no_images(root))

    def _places(self, root: Path) -> Iterator["Place"]:
        """Where images of this kind lie: in the folder as given, or one below."""
        for base in (root, *subfolders(root)):
            for layout in self.layouts:
                place = Place(_below(base, layout.images), _below(base, layout.masks))
                if any(named(place.images, self.image)):
                    yield place

    def _has_masks(self, place: "Place") -> bool:
        return any(named(place.masks, self.mask))

    def _no_masks(self, root: Path, places: Sequence["Place"]) -> str:
        images = places[0].images
        looked = listing(dict.fromkeys(str(place.masks) for place in places))
        if set(images.parts[-2:]) & set(self.unlabelled):
            return (
                f"{root}: only {images} is there, whose images come without masks;"
                f" {self.title} has those with masks in {self.download}"
            )
        return (
            f"{root}: found images of {self.title} in {images}, but no mask"
            f" ({self.mask}); looked in {looked}{packed(root)};"
            f" the download has them in {self.download}"
        )

    def _no_images(self, root: Path) -> str:
        wanted = listing(
            images if images == masks else f"{images} with {masks}"
            for images, masks in self.layouts
            if images != "." and not {images, *images.split("/")} & {*self.unlabelled}
        )
        return (
            f"{root}: no image of {self.title} ({self.image}); looked there, and there"
            f" and one folder below in {wanted}{packed(root)}; found {inside(root)}"
        )

    def _with_advice(self, fault: Fault) -> Fault:
        if fault.kind != "mask without image":
            return fault
        return fault._replace(message=f"{fault.message}; expected {self.image} for each")


class Place(NamedTuple):
    """Folders of images and masks."""

    images: Path
    masks: Path


def subfolders(root: Path) -> list[Path]:
    """The visible folders in a folder, by name."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")


def packed(root: Path) -> str:
    """A remark on archives that lie there unopened; empty where there are none."""
    if not root.is_dir():
        return ""
    archives = sorted(path.name for path in root.iterdir() if path.suffix.lower() in ARCHIVES)
    return f"; unpack {listing(archives)} first" if archives else ""


def inside(root: Path) -> str:
    """What a folder holds, for messages."""
    folders = [f"{path.name}/" for path in subfolders(root)]
    files = sorted(path.name for path in root.iterdir() if path.is_file())
    return listing([*folders, *files]) or "nothing"


def require_folder(root: Path) -> None:
    """Refuse what is no folder.

    Raises:
        DatasetError: Saying what it is.
    """
    if root.is_dir():
        return
    if not root.exists():
        raise DatasetError(f"{root} does not exist; expected the folder of a dataset")
    if root.suffix.lower() in ARCHIVES:
        raise DatasetError(f"{root} is an archive; unpack it and name the folder")
    raise DatasetError(f"{root} is a file; expected the folder of a dataset")


def _below(base: Path, name: str) -> Path:
    """A folder below another or, with ``../``, beside it."""
    if name == ".":
        return base
    return base.absolute().parent / name[3:] if name.startswith("../") else base / name
