"""Table 1 from datasets on disk, beside the paper's."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from glnet.data import DatasetKind, open_dataset
from glnet.data.folder import SegmentationFolder
from glnet.errors import ConfigurationError, GLNetError
from glnet.reproduction.output import require_output
from glnet.reproduction.paper import DATASET_NOTES, DATASETS
from glnet.reproduction.results import ResultRow, ResultTable
from glnet.reproduction.statistics import (
    STATISTICS_DECIMALS,
    DatasetStatistics,
    dataset_statistics,
    statistics_row,
)
from glnet.reproduction.tables import write_table
from glnet.training.following.files import make_folder

PAPERS: dict[str, str] = {
    "deepglobe": "deepglobe",
    "deepglobe-published": "deepglobe",
    "isic": "isic",
    "inria": "inria",
    "inria-official": "inria",
}
"""Which of the paper's datasets a kind is."""


class Place(NamedTuple):
    """A dataset on disk.

    Attributes:
        folder: Where it is.
        kind: What it is.
        description: Of a plain folder, where it lies elsewhere.
    """

    folder: str
    kind: DatasetKind = "folder"
    description: str | None = None


class Counted(NamedTuple):
    """What came of Table 1.

    Attributes:
        files: That were written.
        failures: What could not be counted, in one line each.
    """

    files: list[Path]
    failures: list[str]


def write_datasets_table(
    places: Sequence[Place],
    folder: Path,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Counted:
    """Count datasets and write the table; one that cannot be opened becomes a remark.

    Raises:
        ConfigurationError: If two are one dataset of the paper.
        OutputError: If a file cannot be written.
    """
    twice = [of.kind for of in places if of.kind in PAPERS]
    for kind in twice:
        if sum(PAPERS[of] == PAPERS[kind] for of in twice) > 1:
            raise ConfigurationError(f"two datasets of kind {PAPERS[kind]} are named; name one")
    require_output(folder.absolute().parent)
    make_folder(folder.absolute().parent)
    found: dict[str, DatasetStatistics] = {}
    own: list[ResultRow] = []
    failures = []
    for number, place in enumerate(places):
        key = f"own:{number}"
        name = Path(place.folder).resolve().name
        try:
            dataset = open_dataset(*place)
            assert isinstance(dataset, SegmentationFolder)
            statistics = dataset_statistics(dataset, progress)
        except GLNetError as error:
            failures.append(str(error))
            own.append(ResultRow(key, name, {}, skipped=str(error)))
            continue
        if place.kind in PAPERS:
            found[PAPERS[place.kind]] = statistics
        else:
            own.append(statistics_row(key, name, statistics, None))
    theirs = [statistics_row(of.key, of.label, found.get(of.key), of) for of in DATASETS]
    table = ResultTable(
        title="Table 1: datasets",
        about="Images that have a mask, over all splits; sizes as displayed, read from the files' "
        "headers.",
        rows=[*theirs, *own],
        columns=tuple(STATISTICS_DECIMALS),
        notes=DATASET_NOTES,
        decimals=STATISTICS_DECIMALS,
    )
    return Counted(write_table(folder, table), failures)
