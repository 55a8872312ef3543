"""What the scans of a split come to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glnet.data.classes import IGNORE_INDEX, ClassInfo
from glnet.data.scanning import Scan
from glnet.geometry import Size


@dataclass(frozen=True)
class SplitReport:
    """A split in numbers.

    Attributes:
        name: What it is called.
        images: How many are there.
        absent: How many should be there and are not.
        without_mask: How many of those that are there have none.
        smallest: Of least area; None where no image can be read.
        largest: Of most area.
        sizes: How many different ones there are.
        bands: Which numbers of bands occur.
        dtypes: Which number types occur.
        turned: Images that EXIF turns.
        pixels: Of every class.
        ignored_pixels: Those that do not count.
    """

    name: str
    images: int
    absent: int
    without_mask: int
    smallest: Size | None
    largest: Size | None
    sizes: int
    bands: tuple[int, ...]
    dtypes: tuple[str, ...]
    turned: int
    pixels: tuple[int, ...]
    ignored_pixels: int

    @property
    def labelled_pixels(self) -> int:
        """Those that count."""
        return sum(self.pixels)

    @property
    def shares(self) -> tuple[float, ...]:
        """Of every class among the pixels that count."""
        return tuple(count / max(1, self.labelled_pixels) for count in self.pixels)

    @property
    def ignored_share(self) -> float:
        """Among all pixels that have a mask."""
        return self.ignored_pixels / max(1, self.labelled_pixels + self.ignored_pixels)

    def to_dict(self, classes: Sequence[ClassInfo]) -> dict[str, object]:
        """The numbers in words that JSON keeps; sizes as [height, width]."""
        return {
            "images": self.images,
            "absent": self.absent,
            "without_mask": self.without_mask,
            "smallest": _sides(self.smallest),
            "largest": _sides(self.largest),
            "sizes": self.sizes,
            "bands": list(self.bands),
            "dtypes": list(self.dtypes),
            "turned": self.turned,
            "pixels": {info.name: of for info, of in zip(classes, self.pixels, strict=True)},
            "ignored_pixels": self.ignored_pixels,
        }


def tally(name: str, scans: Sequence[Scan], absent: int, num_classes: int) -> SplitReport:
    """Sum up the images of a split that are there."""
    pictures = [one.picture for one in scans if one.picture is not None]
    sizes = [picture.size for picture in pictures]
    counts = np.zeros(IGNORE_INDEX + 1, np.int64)
    for one in scans:
        if one.counts is not None:
            counts += one.counts
    return SplitReport(
        name=name,
        images=len(scans),
        absent=absent,
        without_mask=sum(one.sample.mask is None for one in scans),
        smallest=min(sizes, key=lambda of: of.area, default=None),
        largest=max(sizes, key=lambda of: of.area, default=None),
        sizes=len(set(sizes)),
        bands=tuple(sorted({picture.bands for picture in pictures})),
        dtypes=tuple(sorted({picture.dtype for picture in pictures})),
        turned=sum(picture.is_turned for picture in pictures),
        pixels=tuple(counts[:num_classes].tolist()),
        ignored_pixels=int(counts[IGNORE_INDEX]),
    )


def _sides(size: Size | None) -> list[int] | None:
    return None if size is None else [size.height, size.width]
