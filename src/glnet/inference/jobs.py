"""Which image goes where, settled before any work is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glnet.errors import ConfigurationError, OutputError
from glnet.inference.overlay import overlay_beside
from glnet.raster.labels import LABEL_SUFFIXES
from glnet.raster.output import check_destination
from glnet.raster.pictures import PICTURE_FORMATS


@dataclass(frozen=True)
class Job:
    """An image, its label map and, if wanted, its overlay picture."""

    image: str | Path
    output: Path
    overlay: Path | None = None

    @property
    def results(self) -> tuple[Path, ...]:
        """All files that are to be written."""
        return (self.output,) if self.overlay is None else (self.output, self.overlay)


def plan_jobs(
    images: Sequence[str | Path], output: str | Path, *, has_overlay: bool
) -> tuple[Job, ...]:
    """Decide where the results of every image go, and make the folder for several.

    One image goes to the file ``output``, or into it if that is a folder or has no suffix; several
    go into the folder ``output``, as ``<stem>.tif``.

    Raises:
        ConfigurationError: If there is no image.
        OutputError: If results would replace each other or an image, or there can be no folder.
    """
    if not images:
        raise ConfigurationError("expected at least one image, got none")
    output = Path(output)
    is_file = len(images) == 1 and output.suffix != "" and not output.is_dir()
    outputs = [output] if is_file else [output / f"{Path(image).stem}.tif" for image in images]
    jobs = tuple(
        Job(image, place, overlay_beside(place) if has_overlay else None)
        for image, place in zip(images, outputs, strict=True)
    )
    _require_apart(jobs)
    if not is_file:
        _require_folder(output)
    return jobs


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
