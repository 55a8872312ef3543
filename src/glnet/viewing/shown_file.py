"""A file that is shown: open while somebody looks, and known to be the same file."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from glnet.closing import Closing
from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster import (
    Masked,
    Palette,
    Raster,
    RasterFile,
    SlideRaster,
    is_slide,
    open_raster,
    open_slide,
    reading_cost,
    spooled,
)
from glnet.viewing.pyramid import Pyramid
from glnet.viewing.reducing import Fit

View = Callable[[Raster], Raster]
"""How a file's raster is seen, such as colours as labels."""


class ChangedFileError(RasterError):
    """A file that is no longer the one that was opened."""


class Identity(NamedTuple):
    """What tells a file from one that has taken its place."""

    size: int
    changed_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "Identity | None":
        """Of a file; None where there is none, as with GDAL's virtual file systems."""
        try:
            status = path.stat()
        except OSError:
            return None
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


def as_it_is(raster: Raster) -> Raster:
    """Seen without a change."""
    return raster


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How a file is opened.

    Attributes:
        palette: What becomes of indices into a table of colours.
        bands: Which bands; all if None.
        level: Of a slide, 0 for the largest.
        mpp: Of a slide, the micrometres per pixel, instead of a level.
        view: How it is seen.
    """

    palette: Palette = Palette.EXPAND
    bands: tuple[int, ...] | None = None
    level: int | None = None
    mpp: float | None = None
    view: View = as_it_is

    def file(self, path: str | Path) -> RasterFile | SlideRaster:
        """The open file.

        Raises:
            RasterError: If it cannot be opened.
        """
        if self.mpp is not None:
            return open_slide(path, mpp=self.mpp, bands=self.bands)
        if self.level is not None or is_slide(path):
            return open_slide(path, self.level or 0, bands=self.bands)
        return open_raster(path, self.palette, self.bands)


AS_IT_IS = Opening()


class ShownFile(Closing):
    """A pixel file at any zoom.

    Opening reads the header alone. `prepare` does what takes long: files without random access are
    copied to a temporary file, and smaller copies are made where the file has none.

    Args:
        path: The file.
        fit: How it is made smaller.
        folder: For temporary files.
        opening: How it is opened.

    Raises:
        RasterError: If it cannot be opened.
    """

    def __init__(
        self, path: str | Path, fit: Fit, folder: Path, opening: Opening = AS_IT_IS
    ) -> None:
        self.path = Path(path)
        self.identity = Identity.of(self.path)
        self._fit, self._folder, self._view = fit, folder, opening.view
        self._files = ExitStack()
        self.file = opening.file(path)
        self._files.enter_context(self.file)
        # Looks into the file, therefore once.
        self._is_copied = isinstance(self.file, RasterFile) and reading_cost(self.file).pays
        self.decoded = (0, 0)
        self.error: str | None = None
        self.pyramid: Pyramid | None = None
        if not self._is_copied:
            self._look_at(self.file)

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return self.file.size

    @property
    def held_bytes(self) -> int:
        """Host memory that its pixels take while it is open."""
        is_held = isinstance(self.file, RasterFile) and not self._is_copied
        return self.file.decoded_bytes if is_held and isinstance(self.file, RasterFile) else 0

    @property
    def is_prepared(self) -> bool:
        """Whether there is nothing left to prepare, or it has failed."""
        is_ready = self.pyramid is not None and not self.pyramid.needs_building
        return is_ready or self.error is not None

    @property
    def progress(self) -> float:
        """How far preparing is, in 0..1."""
        if self.is_prepared:
            return 1.0
        done, total = self.decoded
        copied = done / total if total else 0.0
        if self.pyramid is None:
            return copied / 2
        return (0.5 if total else 0.0) + (
            (0.5 if total else 1.0) * self.pyramid.done / max(1, self.pyramid.total)
        )

    @property
    def revision(self) -> int:
        """Another number once there is more to see."""
        return 0 if self.pyramid is None else self.pyramid.done + 1

    def is_final(self, zoom: int) -> bool:
        """Whether tiles of a zoom stay as they are."""
        return self.pyramid is not None and self.pyramid.is_final(zoom)

    def require_same(self) -> None:
        """Refuse to read a file that has been replaced or changed.

        Raises:
            ChangedFileError: If it has.
        """
        if Identity.of(self.path) != self.identity:
            raise ChangedFileError(
                f"{self.path.name} has changed since it was opened; load it again"
            )

    def tile(self, zoom: int, row: int, column: int) -> Masked | None:
        """A tile of its pyramid; None until its pixels can be read.

        Raises:
            ChangedFileError: If the file is not the one that was opened.
            RasterError: If the pixels cannot be read.
        """
        self.require_same()
        return None if self.pyramid is None else self.pyramid.tile(zoom, row, column)

    def read(self, window: Window) -> Masked | None:
        """A window of it; None until its pixels can be read.

        Raises:
            ChangedFileError: If the file is not the one that was opened.
            RasterError: If the pixels cannot be read.
        """
        self.require_same()
        return None if self.pyramid is None else self.pyramid.read(window)

    def prepare(self, goes_on: Callable[[], bool]) -> None:
        """Do what takes long; once, by one thread.

        Args:
            goes_on: Asked now and then; the rest is left out once it says no.
        """
        try:
            if self.pyramid is None:
                self._copy(goes_on)
            if self.pyramid is not None and self.pyramid.needs_building:
                self.pyramid.build(goes_on)
        except _LeftError:
            return
        except Exception as error:
            self.error = " ".join(str(error).split())

    def close(self) -> None:
        """Close it. Closing twice is no error."""
        if self.pyramid is not None:
            self.pyramid.close()
        self._files.close()

    def _copy(self, goes_on: Callable[[], bool]) -> None:
        assert isinstance(self.file, RasterFile)

        def told(done: int, total: int) -> None:
            if not goes_on():
                raise _LeftError
            self.decoded = (done, total)

        self._look_at(self._files.enter_context(spooled(self.file, self._folder, told)))

    def _look_at(self, raster: Raster) -> None:
        self.pyramid = Pyramid(self._view(raster), self._fit, self._folder)


class _LeftError(Exception):
    """Nobody wants it any more."""
