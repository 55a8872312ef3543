"""All that is to be known of a dataset before it trains: counts, sizes, shares, and every fault."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from glnet.data.benchmark import require_folder
from glnet.data.classes import ClassInfo
from glnet.data.description_file import DESCRIPTION_NAME
from glnet.data.faults import Fault
from glnet.data.findings import find_faults, find_remarks
from glnet.data.folder import DatasetKind, SegmentationFolder
from glnet.data.guessing import Proposal, propose
from glnet.data.opening import (
    examine,
    folder_contents,
    looks_like,
    require_images,
    require_kind,
)
from glnet.data.scanning import Scan, scan
from glnet.data.sheet import check_sheet, write_sheet
from glnet.data.tally import SplitReport, tally
from glnet.errors import DatasetError

Progress = Callable[[str, int, int], None]
"""Told what is done, how far it is, and how far it goes."""

NOTHING_TO_DRAW = "there is no contact sheet, as no image and mask could be drawn"


@dataclass(frozen=True)
class DatasetReport:
    """What `check_dataset` found.

    Attributes:
        folder: The dataset's.
        kind: How it is laid out.
        classes: In the order of their index.
        splits: Of every split; the last is all of it.
        faults: What keeps images from being used, in the order in which it is to be told.
        remarks: What is worth knowing.
        proposal: The text of a ``dataset.yaml``, where there was none.
        sheet: Where the contact sheet is, if one was asked for.
    """

    folder: str
    kind: DatasetKind
    classes: tuple[ClassInfo, ...]
    splits: tuple[SplitReport, ...]
    faults: tuple[Fault, ...]
    remarks: tuple[str, ...]
    proposal: str | None = None
    sheet: str | None = None

    def to_dict(self) -> dict[str, object]:
        """The report in words that JSON keeps; every file of every fault."""
        return {
            "folder": self.folder,
            "dataset": self.kind,
            "classes": [info.to_dict() for info in self.classes],
            "splits": {of.name: of.to_dict(self.classes) for of in self.splits},
            "faults": [
                {"kind": fault.kind, "message": fault.message, "files": list(fault.names)}
                for fault in self.faults
            ],
            "remarks": list(self.remarks),
            "proposal": self.proposal,
            "sheet": self.sheet,
        }


def check_dataset(
    root: str | Path,
    kind: DatasetKind = "folder",
    description: str | Path | None = None,
    sheet: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = lambda *_: None,
) -> DatasetReport:
    """Read every image and mask once, strip by strip, and tell all that is found.

    Args:
        root: The folder of the dataset.
        kind: How it is laid out.
        description: A file that describes a ``folder``, by default its own ``dataset.yaml``; where
            there is none, one is proposed from what the masks hold, and checked.
        sheet: Where to draw images with their masks on top (.png), if anywhere.
        overwrite: Whether a sheet that is there already is replaced.
        progress: Told after every image.

    Raises:
        ConfigurationError: If the description is not as it should be, or there is neither one nor
            masks to propose one from.
        DatasetError: If there are no images, or of a benchmark no masks.
        OutputError: If the sheet cannot be written; found out first.
    """
    root = Path(root)
    require_kind(kind, description)
    require_folder(root)
    if sheet is not None:
        check_sheet(Path(sheet), overwrite)
    dataset, proposal = _open(root, kind, description, progress)
    scans = _scan_all(dataset, progress)
    splits = tuple(_tallies(dataset, scans))
    like = looks_like(root) if proposal is not None else None
    report = DatasetReport(
        folder=str(root),
        kind=kind,
        classes=dataset.description.classes,
        splits=splits,
        faults=tuple(find_faults(dataset, list(scans.values()))),
        remarks=tuple(find_remarks(dataset, list(scans.values()), splits, like)),
        proposal=None if proposal is None else proposal.text,
    )
    if sheet is None:
        return report
    healthy = {of.sample.stem for of in scans.values() if of.counts is not None and of.picture}
    if not healthy:  # No reason to keep back what was found.
        return replace(report, remarks=(*report.remarks, NOTHING_TO_DRAW))
    write_sheet(Path(sheet), dataset, healthy, overwrite, progress)
    return replace(report, sheet=str(sheet))


def _open(
    root: Path, kind: DatasetKind, description: str | Path | None, progress: Progress
) -> tuple[SegmentationFolder, Proposal | None]:
    file = root / DESCRIPTION_NAME
    if kind != "folder" or description is not None or file.exists():
        return examine(root, kind, description), None
    require_images(root)
    try:
        proposal = propose(root, lambda done, total: progress("looking at masks", done, total))
    except DatasetError as error:
        raise DatasetError(f"no {file}, and none can be proposed: {error}") from error
    found = proposal.description
    return SegmentationFolder(root, found, folder_contents(root, found)), proposal


def _scan_all(dataset: SegmentationFolder, progress: Progress) -> dict[str, Scan]:
    scans = {}
    for done, sample in enumerate(dataset.samples):
        progress("reading images and masks", done, len(dataset.samples))
        scans[sample.stem] = scan(sample, dataset.description)
    progress("reading images and masks", len(dataset.samples), len(dataset.samples))
    return scans


def _tallies(dataset: SegmentationFolder, scans: dict[str, Scan]) -> Iterable[SplitReport]:
    for name in dataset.splits:
        there = [scans[stem] for stem in dataset.stems(name) if stem in scans]
        yield tally(name, there, len(dataset.absent(name)), dataset.description.num_classes)
