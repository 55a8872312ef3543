"""Faults and remarks: what the names, the splits and the scans of a dataset come to."""

from collections import Counter
from collections.abc import Iterator, Sequence

from glnet.data.faults import ORDER, Fault
from glnet.data.folder import ALL, DatasetKind, SegmentationFolder
from glnet.data.listing import listing
from glnet.data.scanning import Scan
from glnet.data.tally import SplitReport


def find_faults(dataset: SegmentationFolder, scans: Sequence[Scan]) -> list[Fault]:
    """All faults by kind; those of a kind in the order of their images."""
    faults = [*dataset.contents.faults, *_split_faults(dataset), *_bare(dataset)]
    for one in scans:
        faults += one.faults
    faults += _band_faults(scans)
    return sorted(faults, key=lambda fault: ORDER.index(fault.kind))


def _split_faults(dataset: SegmentationFolder) -> Iterator[Fault]:
    """Splits of which images are absent; a folder's own rule has complained already."""
    if dataset.kind == "folder":
        return
    for name in dataset.splits:
        stems, absent = dataset.stems(name), dataset.absent(name)
        if absent:
            message = (
                f"split {name!r}: {len(absent)} of its {len(stems)} images are not in"
                f" {dataset.contents.images}: {listing(absent)}"
            )
            yield Fault("split", message, absent)
        elif not stems:
            count = len(dataset.samples)
            few = f"split {name!r} is empty: {count} of the benchmark's images are too few to part"
            none = f"no image has a mask in {dataset.contents.masks}"
            yield Fault("split", none if name == ALL else few, ())


def _bare(dataset: SegmentationFolder) -> Iterator[Fault]:
    """Images of splits that have no mask."""
    bare = {of.stem: str(of.image) for of in dataset.samples if of.mask is None}
    wanted = {stem for name in dataset.splits for stem in dataset.stems(name)}
    if lacking := sorted(wanted & set(bare)):
        message = (
            f"no mask in {dataset.contents.masks} for {len(lacking)} of {len(dataset.samples)}"
            f" images: {listing(lacking)}"
        )
        yield Fault("image without mask", message, tuple(bare[stem] for stem in lacking))


def _band_faults(scans: Sequence[Scan]) -> Iterator[Fault]:
    """Images of other bands than most."""
    pictures = [(one.sample, one.picture) for one in scans if one.picture is not None]
    counts = Counter(picture.bands for _, picture in pictures)
    if len(counts) < 2:
        return
    usual = counts.most_common(1)[0][0]
    for sample, picture in pictures:
        if picture.bands != usual:
            message = f"{sample.image} has {picture.bands} bands, most images have {usual}"
            yield Fault("bands", message, (str(sample.image),))


def find_remarks(
    dataset: SegmentationFolder,
    scans: Sequence[Scan],
    splits: Sequence[SplitReport],
    like: DatasetKind | None,
) -> Iterator[str]:
    """What is worth knowing of a dataset and keeps nothing from being used.

    Args:
        dataset: The dataset.
        scans: Of its images.
        splits: Of its splits.
        like: The benchmark that it looks like and was not opened as.
    """
    if like is not None:
        yield f"this looks like {like}: --dataset {like} reads it without a dataset.yaml"
    yield from _turned(scans)
    yield from _never(dataset, splits)
    yield from _outside(dataset)
    dtypes = Counter(one.picture.dtype for one in scans if one.picture is not None)
    if len(dtypes) > 1:
        yield "images differ in their number type: " + listing(
            f"{count} of {dtype}" for dtype, count in dtypes.most_common()
        )
    if dataset.kind != "folder" and (strays := dataset.contents.pairs.strays):
        names = listing(path.name for path in strays)
        yield f"not named as files of this benchmark, and left alone: {names}"


def _turned(scans: Sequence[Scan]) -> Iterator[str]:
    images = sum(one.picture is not None and one.picture.is_turned for one in scans)
    masks = sum(one.is_mask_turned for one in scans)
    if images or masks:
        yield (
            f"turned by EXIF: {images} of the images, {masks} of the masks; all are read as"
            " displayed, so see on a contact sheet (--sheet) whether masks fit"
        )


def _never(dataset: SegmentationFolder, splits: Sequence[SplitReport]) -> Iterator[str]:
    """Classes that no mask shows, and those that are missing in some split only."""
    names = [info.name for info in dataset.description.classes]
    everywhere = {
        name
        for name, *counts in zip(names, *(of.pixels for of in splits), strict=True)
        if not any(counts)
    }
    if everywhere and any(of.labelled_pixels for of in splits):
        yield f"no mask shows {listing(name for name in names if name in everywhere)}"
    for of in splits:
        never = [name for name, pixels in zip(names, of.pixels, strict=True) if not pixels]
        here = [name for name in never if name not in everywhere]
        if here and of.labelled_pixels:
            yield f"split {of.name!r} never shows {listing(here)}"


def _outside(dataset: SegmentationFolder) -> Iterator[str]:
    inside = {stem for name in dataset.splits if name != ALL for stem in dataset.stems(name)}
    outside = [of for of in dataset.samples if of.stem not in inside]
    if len(dataset.splits) == 1 or not outside:
        return
    bare = sum(of.mask is None for of in outside)
    yield (
        f"in no split but {ALL!r}: {len(outside)} of {len(dataset.samples)} images,"
        f" {bare} without mask: " + listing(of.stem for of in outside)
    )
