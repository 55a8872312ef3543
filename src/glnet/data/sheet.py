"""A contact sheet: some images of every split with their masks on top."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glnet.data.folder import ALL, SegmentationFolder
from glnet.data.masks import LabelRaster
from glnet.data.sample import Sample
from glnet.errors import OutputError
from glnet.geometry import Size, Window
from glnet.raster import draw_overlay, thumbnail, to_display, write_picture
from glnet.raster.sheets import CELL, Tile, draw_sheet
from glnet.raster.writing.output import check_destination

MOST_IMAGES = 24


def check_sheet(path: Path, overwrite: bool) -> None:
    """Refuse a place where no sheet can be put, before work is spent on it.

    Raises:
        OutputError: As `check_destination`; sheets are PNG.
    """
    check_destination(path.absolute(), (".png",), overwrite)


def write_sheet(
    path: Path,
    dataset: SegmentationFolder,
    healthy: Collection[str],
    overwrite: bool,
    progress: Callable[[str, int, int], None],
) -> None:
    """Draw up to `MOST_IMAGES` images, evenly from the splits, with masks and a legend.

    Args:
        path: Where to, ``.png``.
        dataset: Whose images.
        healthy: The stems of images and masks that are known to read.
        overwrite: Whether a sheet that is there already is replaced.
        progress: Told after every image.

    Raises:
        OutputError: If no image is healthy, or the sheet cannot be written.
        RasterError: If a file has ceased to read.
    """
    chosen = choose(dataset, healthy)
    if not chosen:
        raise OutputError(f"{path}: no image and mask that could be drawn")
    tiles = []
    for done, (split, sample) in enumerate(chosen):
        progress("drawing the contact sheet", done, len(chosen))
        tiles.append(_tile(sample, split, dataset))
    legend = [(info.name, info.color) for info in dataset.description.classes]
    write_picture(path, draw_sheet(tiles, legend), overwrite)


def choose(dataset: SegmentationFolder, healthy: Collection[str]) -> list[tuple[str, Sample]]:
    """Up to `MOST_IMAGES` samples with their splits: as many of every split, evenly spread."""
    names = [name for name in dataset.splits if name != ALL]
    stems = {name: [of for of in dataset.stems(name) if of in healthy] for name in names}
    if not any(stems.values()):
        stems = {ALL: [of for of in dataset.stems(ALL) if of in healthy]}
    quotas = _quotas({name: len(of) for name, of in stems.items()})
    samples = {sample.stem: sample for sample in dataset.samples}
    return [
        (name, samples[stem]) for name, of in stems.items() for stem in _spread(of, quotas[name])
    ]


def _quotas(counts: Mapping[str, int]) -> dict[str, int]:
    """How many every split gets: one after the other, as long as it has any."""
    quotas = dict.fromkeys(counts, 0)
    for _ in range(min(MOST_IMAGES, sum(counts.values()))):
        open_ones = [name for name in counts if quotas[name] < counts[name]]
        quotas[min(open_ones, key=lambda name: quotas[name])] += 1
    return quotas


def _spread(stems: Sequence[str], count: int) -> list[str]:
    return [stems[(2 * k + 1) * len(stems) // (2 * count)] for k in range(count)]


def _tile(sample: Sample, split: str, dataset: SegmentationFolder) -> Tile:
    description = dataset.description
    with sample.open_image() as raster, sample.open_labels(description) as labels:
        size = _fitted(raster.size)
        picture = to_display(thumbnail(raster, size))
        small = _shrunk(labels, size)
    colors = [info.color for info in description.classes]
    return Tile(draw_overlay(picture, small, colors, opacity=0.5), f"{sample.stem} ({split})")


def _fitted(size: Size) -> Size:
    """As large as a cell of the sheet allows, never larger than it is."""
    scale = min(1.0, CELL / max(size.height, size.width))
    return Size(max(1, round(size.height * scale)), max(1, round(size.width * scale)))


def _shrunk(labels: LabelRaster, size: Size) -> NDArray[np.uint8]:
    """The labels under the centres of a small picture's pixels, to one pixel or so."""
    least = min(labels.size.height // size.height, labels.size.width // size.width)
    near = labels.read_nearest(Window(0, 0, labels.size), max(1, least))
    rows, columns = (
        ((np.arange(cells) + 0.5) * length / cells).astype(np.intp)
        for length, cells in zip(near.shape, (size.height, size.width), strict=True)
    )
    picked: NDArray[np.uint8] = near[rows[:, np.newaxis], columns]
    return picked
