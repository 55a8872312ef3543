"""Opening an image to be segmented: which bands, which level, what counts, and what if damaged."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from glnet.errors import ConfigurationError, RasterError
from glnet.geometry import Window
from glnet.inference.settings import Progress
from glnet.raster import (
    ForgivingRaster,
    Georeference,
    Raster,
    TissueRaster,
    find_tissue,
    is_slide,
    open_raster,
    open_slide,
    reading_cost,
    spooled,
)

OnError = Literal["stop", "nodata"]
"""What becomes of damaged blocks of a file: the end, or pixels that are no measurements."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """How images are opened.

    Attributes:
        bands: Which bands or channels, counted from 1, in which order; all but transparency by
            default.
        on_error: What becomes of damaged blocks.
        level: Of a slide, 0 for the largest.
        mpp: Of a slide, the micrometres per pixel to work at, instead of a level.
        tissue: Whether only tissue counts as measured; the rest of a slide is glass.

    Raises:
        ConfigurationError: If a number is too low, or the options exclude each other.
    """

    bands: tuple[int, ...] | None = None
    on_error: OnError = "stop"
    level: int | None = None
    mpp: float | None = None
    tissue: bool = False

    def __post_init__(self) -> None:
        if self.bands is not None and (not self.bands or min(self.bands) < 1):
            raise ConfigurationError(
                f"bands are counted from 1, at least one is needed, got {list(self.bands)}"
            )
        if self.level is not None and self.mpp is not None:
            raise ConfigurationError("name the level or the micrometres per pixel, not both")
        if self.level is not None and self.level < 0:
            raise ConfigurationError(f"levels are counted from 0, got {self.level}")
        if self.mpp is not None and not self.mpp > 0:
            raise ConfigurationError(f"micrometres per pixel must be over 0, got {self.mpp}")

    @property
    def names_slide(self) -> bool:
        """Whether something is asked for that only slides have."""
        return self.level is not None or self.mpp is not None

    def facts(self) -> dict[str, object]:
        """What a run depends on, by names that go into a message."""
        bands = None if self.bands is None else list(self.bands)
        return {"bands": bands, "level": self.level, "mpp": self.mpp, "tissue only": self.tissue}


AS_IT_IS = Source()


@dataclass(frozen=True, eq=False)
class Opened:
    """An open image.

    Attributes:
        raster: Its pixels.
        decoder_bytes: Host memory that the file's decoder takes for itself.
        downsample: Pixels of a slide's largest level per pixel of this raster; None for others.
        note: How it is read, if that is worth a line.
        lost: What could not be decoded when the file was copied.
        forgiving: What reads on where blocks are damaged.
    """

    raster: Raster
    decoder_bytes: int
    downsample: float | None
    note: str | None
    lost: list[Window]
    forgiving: ForgivingRaster | None

    @property
    def damaged(self) -> list[Window]:
        """Where nothing could be read so far."""
        return self.lost + ([] if self.forgiving is None else self.forgiving.damaged)


@contextmanager
def opened(
    path: str | Path, source: Source, folder: Path, patch_side: int, progress: Progress
) -> Iterator[Opened]:
    """Open an image as a source says.

    Args:
        path: The image.
        source: How.
        folder: Where a file without random access is copied to meanwhile, if that pays.
        patch_side: The rows of the windows that are to be read.
        progress: Told while it is copied.

    Raises:
        RasterError: If it cannot be opened, or has no such bands or level.
        ConfigurationError: If something is asked for that this kind of image does not have.
        OutputError: If the folder has no room.
    """
    with ExitStack() as files:
        if is_slide(path):
            found = _opened_slide(files, path, source)
        elif source.names_slide:
            _require_no_place(path)
            found = _opened_slide(files, path, source)
        else:
            found = _opened_file(files, path, source, folder, patch_side, progress)
        if source.tissue:
            found = replace(found, raster=TissueRaster(found.raster, find_tissue(found.raster)))
        yield found


def _opened_slide(files: ExitStack, path: str | Path, source: Source) -> Opened:
    slide = files.enter_context(
        open_slide(path, source.level or 0, bands=source.bands)
        if source.mpp is None
        else open_slide(path, mpp=source.mpp, bands=source.bands)
    )
    forgiving = ForgivingRaster(slide) if source.on_error == "nodata" else None
    note = _slide_note(slide.mpp)
    return Opened(forgiving or slide, 0, slide.downsample, note, [], forgiving)


def _require_no_place(path: str | Path) -> None:
    """Refuse to read a map as a slide: its labels would lie nowhere.

    Raises:
        ConfigurationError: If it lies somewhere on Earth.
    """
    try:
        with open_raster(path) as raster:
            place = raster.georeference
    except RasterError:  # Whoever reads slides says better what is wrong with it.
        return
    if place != Georeference():
        raise ConfigurationError(
            f"{path} lies on Earth and is no slide; a level or micrometres per pixel would lose "
            "its place: leave them away"
        )


def _opened_file(
    files: ExitStack,
    path: str | Path,
    source: Source,
    folder: Path,
    patch_side: int,
    progress: Progress,
) -> Opened:
    file = files.enter_context(open_raster(path, bands=source.bands))
    cost = reading_cost(file, patch_side)
    lost: list[Window] = []
    is_forgiving = source.on_error == "nodata"
    raster = files.enter_context(
        spooled(
            file,
            folder,
            lambda done, total: progress("decoding", done, total),
            patch_side=patch_side,
            on_damage=lost.append if is_forgiving else None,
        )
    )
    note = None
    if cost.pays:
        note = (
            f"the file has no windows ({cost.access}): decoded once to "
            f"{-(-cost.decoded_bytes // 2**20)} MiB on disk"
        )
    forgiving = ForgivingRaster(raster) if is_forgiving else None
    return Opened(forgiving or raster, cost.decoder_bytes, None, note, lost, forgiving)


def _slide_note(mpp: float | None) -> str | None:
    return None if mpp is None else f"slide at {mpp:.4g} micrometres per pixel"
