"""Table 1 of the paper from datasets on disk: only the headers of images are read."""

from collections.abc import Callable
from dataclasses import dataclass

from glnet.data import SegmentationFolder
from glnet.errors import RasterError
from glnet.geometry import Size
from glnet.reproduction.paper import PaperDataset
from glnet.reproduction.results import ResultRow

BARE_4K_PIXELS = 3840 * 1080
"""From how many pixels on an image counts as "4K UHR".

The paper names two bars (section 1): 3840x1080, "the bare minimum bar of 4K resolution", and
3840x2160, "4K ultra-high definition". Its Table 1 counts all of DeepGlobe, whose images have 6.0
million pixels: over the lower bar (4.1) and under the higher (8.3). So the lower one is meant, and
of pixels and not of widths, as DeepGlobe's 2448 columns are less than 3840.
"""

MEGAPIXEL = 1_000_000

IMAGES, PAPER_IMAGES = "images", "paper images"
LARGEST, PAPER_LARGEST = "largest (megapixels)", "paper largest (megapixels)"
MEAN, PAPER_MEAN = "mean (megapixels)", "paper mean (megapixels)"
SHARE, PAPER_SHARE = "4K UHR (%)", "paper 4K UHR (%)"
STATISTICS_DECIMALS = {
    IMAGES: 0, PAPER_IMAGES: 0, LARGEST: 1, PAPER_LARGEST: 1,
    MEAN: 1, PAPER_MEAN: 1, SHARE: 1, PAPER_SHARE: 1,
}  # fmt: skip
"""The columns of Table 1 in their order, with digits behind the point."""

MOST_NAMED = 3


@dataclass(frozen=True)
class DatasetStatistics:
    """A dataset in numbers, over all of its splits.

    Attributes:
        images: How many have a mask, those that cannot be read included.
        without_mask: How many others there are, which do not count for anything else.
        largest: The size of most pixels, as displayed; None where no image can be read.
        largest_stem: Of the first image of that size.
        mean_megapixels: Of a readable image; None where there is none.
        sizes: How many different ones there are.
        share_4k: Readable images of at least `BARE_4K_PIXELS`, 0..1; None where there is none.
        unreadable: Stems of images that cannot be read, and why.
    """

    images: int
    without_mask: int
    largest: Size | None
    largest_stem: str | None
    mean_megapixels: float | None
    sizes: int
    share_4k: float | None
    unreadable: tuple[tuple[str, str], ...]

    @property
    def is_uniform(self) -> bool:
        """Whether all readable images are of one size."""
        return self.sizes == 1


def dataset_statistics(
    dataset: SegmentationFolder, progress: Callable[[str, int, int], None] = lambda *_: None
) -> DatasetStatistics:
    """Count the images of a dataset and their sizes.

    Args:
        dataset: As `glnet.data.open_dataset` opens it.
        progress: Told what is done, how far it is and how far it goes.
    """
    labelled = [sample for sample in dataset.samples if sample.mask is not None]
    sizes: dict[str, Size] = {}
    unreadable = []
    for done, sample in enumerate(labelled):
        progress("reading headers of images", done, len(labelled))
        try:
            with sample.open_image() as raster:
                sizes[sample.stem] = raster.size
        except RasterError as error:
            unreadable.append((sample.stem, str(error)))
    progress("reading headers of images", len(labelled), len(labelled))
    areas = [size.area for size in sizes.values()]
    stem = max(sizes, key=lambda of: sizes[of].area, default=None)
    return DatasetStatistics(
        images=len(labelled),
        without_mask=len(dataset.samples) - len(labelled),
        largest=None if stem is None else sizes[stem],
        largest_stem=stem,
        mean_megapixels=sum(areas) / len(areas) / MEGAPIXEL if areas else None,
        sizes=len(set(sizes.values())),
        share_4k=sum(area >= BARE_4K_PIXELS for area in areas) / len(areas) if areas else None,
        unreadable=tuple(unreadable),
    )


def statistics_row(
    key: str, label: str, found: DatasetStatistics | None, paper: PaperDataset | None
) -> ResultRow:
    """A row of Table 1.

    Args:
        key: What recipes call it.
        label: What people call it.
        found: What was given; None where nothing was, which skips the row.
        paper: What the paper has.
    """
    values: dict[str, float | None] = dict.fromkeys(STATISTICS_DECIMALS)
    if paper is not None:
        values[PAPER_IMAGES] = paper.images
        values[PAPER_LARGEST] = paper.largest.area / MEGAPIXEL
        values[PAPER_MEAN] = paper.mean_megapixels
        values[PAPER_SHARE] = paper.share_4k
    if found is None:
        return ResultRow(key, label, values, skipped="no such dataset was given")
    values[IMAGES] = found.images
    values[LARGEST] = None if found.largest is None else found.largest.area / MEGAPIXEL
    values[MEAN] = found.mean_megapixels
    values[SHARE] = None if found.share_4k is None else 100 * found.share_4k
    return ResultRow(key, label, values, note=_note(found))


def _note(found: DatasetStatistics) -> str:
    words = []
    if found.largest is not None:
        of = f"{found.largest} pixels (height x width)"
        words.append(f"all are {of}" if found.is_uniform else f"largest {of}: {found.largest_stem}")
    if not found.is_uniform and found.sizes:
        words.append(f"{found.sizes} sizes")
    if found.without_mask:
        words.append(f"{found.without_mask} more without mask, not counted")
    if found.unreadable:
        named = ", ".join(stem for stem, _ in found.unreadable[:MOST_NAMED])
        more = len(found.unreadable) - MOST_NAMED
        words.append(
            f"{len(found.unreadable)} cannot be read: {named}{f' and {more} more' * (more > 0)}"
        )
    return "; ".join(words)
