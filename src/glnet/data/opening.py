"""Opening a dataset of any kind, and saying so where another kind was meant."""

from pathlib import Path

from glnet.data.benchmark import Benchmark, inside, packed, require_folder
from glnet.data.deepglobe import DEEPGLOBE, DEEPGLOBE_PUBLISHED
from glnet.data.description import DatasetDescription
from glnet.data.description_file import DESCRIPTION_NAME, read_description
from glnet.data.folder import Contents, DatasetKind, SegmentationFolder, find_contents
from glnet.data.inria import INRIA, INRIA_OFFICIAL
from glnet.data.isic import ISIC
from glnet.errors import ConfigurationError, DatasetError

BENCHMARKS: dict[DatasetKind, Benchmark] = {
    of.kind: of for of in (DEEPGLOBE, DEEPGLOBE_PUBLISHED, ISIC, INRIA, INRIA_OFFICIAL)
}


def open_dataset(
    root: str | Path, kind: DatasetKind = "folder", description: str | Path | None = None
) -> SegmentationFolder:
    """Open labelled images; no pixels are looked at.

    Args:
        root: The folder of a dataset. A benchmark's download is taken as it unpacks: the folder
            around it, or the inner one.
        kind: ``folder`` follows the folder contract; the others are benchmarks. Of a benchmark,
            splits may be incomplete, which `SegmentationFolder.split` tells when asked for them.
        description: A file that describes a ``folder``, by default its own ``dataset.yaml``.

    Raises:
        ConfigurationError: If there is no such kind, the description is missing or not as it
            should be, or one is given for a benchmark, which has its own.
        DatasetError: If the folder is not as it should be; the message says what is missing and
            where it was looked for.
    """
    root = Path(root)
    dataset = examine(root, kind, description)
    if kind == "folder":
        for fault in dataset.contents.faults:
            raise DatasetError(fault.message)
    return dataset


def examine(
    root: Path, kind: DatasetKind, description: str | Path | None = None
) -> SegmentationFolder:
    """Open labelled images, whatever is wrong with pairs and splits: `Contents.faults` has it.

    Raises:
        ConfigurationError: As `open_dataset`.
        DatasetError: If there are no images, or of a benchmark no masks.
    """
    require_kind(kind, description)
    require_folder(root)
    if kind != "folder":
        return _open_benchmark(BENCHMARKS[kind], root)
    file = root / DESCRIPTION_NAME if description is None else Path(description)
    if not file.exists():
        raise missing_description(root, file)
    read = read_description(file)
    return SegmentationFolder(root, read, folder_contents(root, read))


def require_kind(kind: str, description: str | Path | None) -> None:
    """Refuse a kind that there is not, or a description that would not be read.

    Raises:
        ConfigurationError: Naming the kinds.
    """
    known = ("folder", *BENCHMARKS)
    if kind not in known:
        raise ConfigurationError(f"no dataset {kind!r}; known are {', '.join(known)}")
    if kind != "folder" and description is not None:
        raise ConfigurationError(
            f"{description}: {kind} has a description of its own; leave yours out,"
            " or use dataset folder"
        )


def folder_contents(root: Path, description: DatasetDescription) -> Contents:
    """What lies in a folder after the folder contract.

    Raises:
        DatasetError: If there are no images; saying so where it looks like a benchmark.
    """
    require_images(root)
    return find_contents(root, description)


def require_images(root: Path) -> None:
    """Refuse a folder that does not follow the folder contract.

    Raises:
        DatasetError: Saying what it looks like instead.
    """
    images = root / "images"
    if images.is_dir():
        return
    hint = another(root, "folder") or f"{packed(root)}; found {inside(root)}"
    raise DatasetError(f"{root}: expected the folders images and masks, found no {images}{hint}")


def missing_description(root: Path, file: Path) -> ConfigurationError:
    """The error of a folder that nothing describes."""
    return ConfigurationError(
        f"{file} does not exist: it says what the classes are and how masks show them;"
        f" glnet data check {root} proposes one{another(root, 'folder')}"
    )


def looks_like(root: Path) -> DatasetKind | None:
    """The benchmark whose images and masks lie in a folder, if any."""
    for benchmark in (DEEPGLOBE, ISIC, INRIA):
        if benchmark.is_at(root):
            return benchmark.kind
    return None


def _open_benchmark(benchmark: Benchmark, root: Path) -> SegmentationFolder:
    try:
        return benchmark.open(root)
    except DatasetError as error:
        if hint := another(root, benchmark.kind):
            raise DatasetError(f"{root}: no {benchmark.title}{hint}") from error
        raise


def another(root: Path, kind: DatasetKind) -> str:
    """A remark on the kind that it looks like instead."""
    like = looks_like(root)
    if like is None and (root / "images").is_dir() and (root / DESCRIPTION_NAME).exists():
        like = "folder"
    if like is None or like == kind:
        return ""
    return f"; this looks like {like}: use --dataset {like}"
