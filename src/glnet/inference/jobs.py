"""Which image goes where, settled before any work is done."""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from glnet.errors import ConfigurationError, OutputError
from glnet.inference.overlay import overlay_beside
from glnet.raster.gdal import VIRTUAL_PREFIX
from glnet.raster.writing.labels import LABEL_SUFFIXES
from glnet.raster.writing.output import check_destination
from glnet.raster.writing.pictures import PICTURE_FORMATS
from glnet.raster.writing.scores import SCORE_SUFFIXES
from glnet.vector import VECTOR_SUFFIXES

WORLD_FILES = (".tfw", ".jgw", ".pgw", ".bpw", ".gfw", ".j2w", ".wld", ".tifw", ".jpgw", ".pngw")
BESIDE_IMAGES = (*WORLD_FILES, ".aux.xml", ".ovr", ".msk", ".prj")
"""What GDAL keeps beside an image: a pattern such as ``scenes/*`` does not mean it."""


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What is wanted beside the label map; each lies beside it, under its name and an ending.

    Attributes:
        overlay: A small picture of the image with its labels on top, ``_overlay.png``.
        confidence: The probability of the winning class, ``_confidence.tif``.
        probabilities: Those of all classes, ``_probabilities.tif``.
        vector: Polygons: a suffix (``.gpkg``, ``.geojson``), or the file's name for one image.
        simplify: How far polygons may stray from the pixels' edges, in pixels; None keeps them.
        cog: Whether GeoTIFFs are Cloud Optimized ones.
        boxes: The boxes of a coarse-to-fine model, ``_boxes.geojson``, and on the overlay.

    Raises:
        ConfigurationError: If the vector file has another suffix, or ``simplify`` is no distance or
            without polygons.
    """

    overlay: bool = False
    confidence: bool = False
    probabilities: bool = False
    vector: str | None = None
    simplify: float | None = None
    cog: bool = False
    boxes: bool = False

    def __post_init__(self) -> None:
        if self.vector is not None and self.vector_suffix not in VECTOR_SUFFIXES:
            raise ConfigurationError(
                f"polygons go to a file ending in {' or '.join(VECTOR_SUFFIXES)} (or name only the "
                f"ending), got {self.vector}"
            )
        if self.simplify is None:
            return
        if self.vector is None:
            raise ConfigurationError("only polygons are simplified; ask for them with --vector")
        if not (isfinite(self.simplify) and self.simplify > 0):
            raise ConfigurationError(
                f"polygons are simplified by a distance over 0 pixels, got {self.simplify:g}; "
                "without one, they keep every corner"
            )

    @property
    def vector_suffix(self) -> str:
        """Of the file of polygons."""
        name = self.vector or ""
        return Path(name).suffix.lower() or f".{name.lower().lstrip('.')}"

    def vector_for(self, output: Path) -> Path | None:
        """Where the polygons of a label map go."""
        if self.vector is None:
            return None
        if self.names_vector:
            return Path(self.vector)
        return output.with_suffix(self.vector_suffix)

    @property
    def names_vector(self) -> bool:
        """Whether the file of polygons has a name of its own."""
        return self.vector is not None and Path(self.vector).suffix != ""


@dataclass(frozen=True)
class Job:
    """An image, its label map, and what else is wanted."""

    image: str | Path
    output: Path
    overlay: Path | None = None
    confidence: Path | None = None
    probabilities: Path | None = None
    vector: Path | None = None
    simplify: float | None = None
    cog: bool = False
    boxes: Path | None = None

    @property
    def results(self) -> tuple[Path, ...]:
        """All files that are to be written; the label map first."""
        others = (self.overlay, self.confidence, self.probabilities, self.vector, self.boxes)
        return (self.output, *(of for of in others if of is not None))


def plan_jobs(images: Sequence[str | Path], output: str | Path, extras: Extras) -> tuple[Job, ...]:
    """Decide where the results of every image go, and make the folder for several.

    One image goes to the file ``output``, or into it if that is a folder or has no suffix; several
    go into the folder ``output``, as ``<stem>.tif``.

    Raises:
        ConfigurationError: If there is no image, or one file is named for several images' polygons.
        OutputError: If results would replace each other or an image, or there can be no folder.
    """
    if not images:
        raise ConfigurationError("expected at least one image, got none")
    if len(images) > 1 and extras.names_vector:
        raise ConfigurationError(
            f"{extras.vector} can hold the polygons of one image only; for several, name the "
            f"ending alone ({extras.vector_suffix})"
        )
    output = Path(output)
    is_file = len(images) == 1 and output.suffix != "" and not output.is_dir()
    outputs = [output] if is_file else [output / f"{Path(image).stem}.tif" for image in images]
    jobs = tuple(job_of(*pair, extras) for pair in zip(images, outputs, strict=True))
    _require_apart(jobs)
    if not is_file:
        _require_folder(output)
    return jobs


def expanded(images: Sequence[str | Path], lists: Sequence[str | Path] = ()) -> list[str | Path]:
    """Images by name, by pattern (``scenes/**/*.tif``, in alphabetical order), and out of lists.

    Args:
        images: Files, or patterns where there is no file of that name. Patterns leave out folders,
            and what GDAL keeps beside images; a file that is named twice counts once.
        lists: Text files with a name or pattern in every line; relative ones are meant from where
            the list lies, empty lines and those that begin with ``#`` are left out.

    Raises:
        ConfigurationError: If a pattern matches nothing, or a list cannot be read.
    """
    names = list(images)
    for path in lists:
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"the list {path} cannot be read: {error}") from error
        stripped = (line.strip() for line in lines)
        names += [_from(path, line) for line in stripped if line and not line.startswith("#")]
    found: dict[str, str | Path] = {}
    for name in names:
        for match in _matching(name):
            found.setdefault(_place(match), match)
    return list(found.values())


def _place(name: str | Path) -> str:
    """The same for all ways to spell the path of a file."""
    return str(name) if str(name).startswith(VIRTUAL_PREFIX) else os.path.abspath(name)  # noqa: PTH100


def _from(path: str | Path, line: str) -> str:
    return line if line.startswith(VIRTUAL_PREFIX) else str(Path(path).parent / line)


def _matching(name: str | Path) -> list[str | Path]:
    if not glob.has_magic(str(name)) or Path(name).exists():
        return [name]
    # pathlib takes no pattern that begins at the root.
    matches = sorted(glob.glob(str(name), recursive=True))  # noqa: PTH207
    images: list[str | Path] = [match for match in matches if _may_be_image(match)]
    if not images:
        raise ConfigurationError(f"no file matches the pattern {name}")
    return images


def _may_be_image(match: str) -> bool:
    return not match.lower().endswith(BESIDE_IMAGES) and not Path(match).is_dir()


def job_of(image: str | Path, output: Path, extras: Extras) -> Job:
    """An image that goes to one file, with all that is wanted beside it."""
    return Job(
        image,
        output,
        overlay_beside(output) if extras.overlay else None,
        _beside(output, "confidence.tif") if extras.confidence else None,
        _beside(output, "probabilities.tif") if extras.probabilities else None,
        extras.vector_for(output),
        extras.simplify,
        extras.cog,
        _beside(output, "boxes.geojson") if extras.boxes else None,
    )


def check_job(job: Job, *, overwrite: bool) -> None:
    """Refuse a job whose results cannot be put where they belong.

    Raises:
        OutputError: If a result is the image or the other result, exists and may not be
            overwritten, or its folder is missing or closed to us.
    """
    _require_apart([job])
    check_destination(job.output.absolute(), LABEL_SUFFIXES, overwrite)
    if job.overlay is not None:
        check_destination(job.overlay.absolute(), tuple(PICTURE_FORMATS), overwrite)
    for scores in (job.confidence, job.probabilities):
        if scores is not None:
            check_destination(scores.absolute(), SCORE_SUFFIXES, overwrite)
    if job.vector is not None:
        check_destination(job.vector.absolute(), VECTOR_SUFFIXES, overwrite)
    if job.boxes is not None:
        check_destination(job.boxes.absolute(), (".geojson",), overwrite)


def _beside(output: Path, what: str) -> Path:
    return output.with_name(f"{output.stem}_{what}")


def _require_apart(jobs: Sequence[Job]) -> None:
    images = {_file_identity(job.image) for job in jobs} - {None}
    sources: dict[str, str | Path] = {}
    for job in jobs:
        for result in job.results:
            if _file_identity(result) in images:
                raise OutputError(
                    f"{result} is an image to be segmented, it would be replaced by a result; "
                    "choose another output"
                )
            # Some file systems ignore capitals.
            name = str(result.absolute()).casefold()
            if name in sources:
                raise OutputError(
                    f"{sources[name]} and {job.image} would both be written to {result}; "
                    "segment them in separate calls, to different folders"
                )
            sources[name] = job.image


def _file_identity(path: str | Path) -> tuple[int, int] | None:
    """The same for all names of a file, links included; None where there is no file."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _require_folder(folder: Path) -> None:
    if folder.suffix.lower() in LABEL_SUFFIXES and not folder.is_dir():
        raise OutputError(f"several images need a folder to go to, got the file name {folder}")
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise OutputError(f"several images need a folder to go to, {folder} is a file") from error
    except FileNotFoundError as error:
        raise OutputError(
            f"the folder {folder.parent} does not exist; create it, then write to {folder}"
        ) from error
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
