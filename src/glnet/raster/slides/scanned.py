"""The slides that OpenSlide reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster.protocol import Georeference, Masked, Pixels, require_inside
from glnet.raster.slides.pyramids import required
from glnet.raster.stored import named_bands

OPAQUE = 255
PAPER = 255
"""Where the scanner has seen nothing there is the white of the glass."""

COLOURS = ("1 red", "2 green", "3 blue")


class ScannedPyramid:
    """A slide opened with OpenSlide.

    Args:
        path: The file; or for MRXS, the file beside the folder.
        bands: Which of red, green and blue, counted from 1, in which order; all if None.

    Raises:
        RasterError: If OpenSlide is missing or cannot open it, or it has no such band.
    """

    def __init__(self, path: Path, bands: Sequence[int] | None = None) -> None:
        self._path = path
        self._colours = [at - 1 for at in named_bands(bands, COLOURS, str(path))]
        self._library: Any = required("openslide", path)
        self._slide: Any = None
        self._is_closed = False
        slide = self._opened()
        self._sizes = [Size(height, width) for width, height in slide.level_dimensions]
        self._downsamples: Sequence[float] = slide.level_downsamples
        properties: dict[str, str] = dict(slide.properties)
        self._mpp = _mean(properties, "openslide.mpp-x", "openslide.mpp-y")
        self._tiles = [_tile(properties, level) for level in range(len(self._sizes))]

    @property
    def name(self) -> str:
        """The path."""
        return str(self._path)

    @property
    def mpp(self) -> float | None:
        """Micrometres per pixel of the largest level, if the slide says."""
        return self._mpp

    @property
    def sizes(self) -> Sequence[Size]:
        """The size of every level, the largest first."""
        return self._sizes

    def level(self, number: int) -> "ScannedLevel":
        """A level; readable until the pyramid is closed."""
        return ScannedLevel(self, number, self._tiles[number], self._colours)

    def close(self) -> None:
        """Close the file. Closing twice is no error."""
        if self._slide is not None:
            self._slide.close()
        self._slide, self._is_closed = None, True

    def read(self, level: int, window: Window) -> NDArray[np.uint8]:
        """Red, green, blue and opacity, (height, width, 4), of a window of a level.

        Raises:
            RasterError: If the slide is closed, or damaged there.
        """
        if self._is_closed:
            raise RasterError(f"{self.name} is closed; read it inside its with block")
        # OpenSlide counts places in pixels of the largest level, whatever level is read.
        place = tuple(round(at * self._downsamples[level]) for at in (window.column, window.row))
        try:
            region = self._opened().read_region(
                place, level, (window.size.width, window.size.height)
            )
        except (self._library.OpenSlideError, OSError) as error:
            # After an error OpenSlide refuses all that follows: other windows get a fresh start.
            self._slide.close()
            self._slide = None
            raise RasterError(
                f"{self.name} cannot be read at level {level}, rows {window.row}.."
                f"{window.row_stop}, columns {window.column}..{window.column_stop}, the file may "
                f"be damaged: {_line(error)}"
            ) from error
        return np.asarray(region)

    def _opened(self) -> Any:  # noqa: ANN401 - untyped
        if self._slide is None:
            try:
                self._slide = self._library.OpenSlide(str(self._path))
            except (self._library.OpenSlideError, OSError) as error:
                raise RasterError(
                    f"{self.name} cannot be opened as a slide: {_line(error)}"
                ) from error
        return self._slide


class ScannedLevel:
    """A level of a slide: some of its colours, and which pixels the scanner has seen.

    Where a level is not a whole part of the largest, OpenSlide blends neighbours: windows may begin
    up to half a pixel of the largest level beside their place.
    """

    nodata = None
    has_mask = True
    georeference = Georeference()

    def __init__(
        self, pyramid: ScannedPyramid, number: int, tile: Size | None, colours: Sequence[int]
    ) -> None:
        self.name = pyramid.name
        self.bands = len(colours)
        self._colours = list(colours)
        self.size = pyramid.sizes[number]
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)
        self.block = tile or self.size
        self._pyramid, self._number = pyramid, number

    def read(self, window: Window) -> Pixels:
        """The pixels of a window, (bands, height, width).

        Raises:
            GeometryError: If the window is not inside the level.
            RasterError: If the pixels cannot be read.
        """
        return self.read_masked(window).pixels

    def read_masked(self, window: Window) -> Masked:
        """The pixels of a window, white where the scanner has seen nothing, and where it has.

        Raises:
            GeometryError: If the window is not inside the level.
            RasterError: If the pixels cannot be read.
        """
        require_inside(window, self)
        found = on_paper(self._pyramid.read(self._number, window))
        if self._colours == list(range(len(COLOURS))):
            return found
        return Masked(found.pixels[self._colours], found.valid)


def on_paper(region: NDArray[np.uint8]) -> Masked:
    """Lay colours with opacity, (height, width, 4), on white; what is wholly clear is not valid."""
    opacity = region[..., 3]
    pixels = np.ascontiguousarray(np.moveaxis(region[..., :3], 2, 0))
    if np.all(opacity == OPAQUE):
        return Masked(pixels, None)
    seen = opacity.astype(np.uint32)
    mixed = pixels * seen + PAPER * (OPAQUE - seen)
    valid = opacity != 0
    laid = ((mixed + OPAQUE // 2) // OPAQUE).astype(np.uint8)
    return Masked(laid, None if valid.all() else valid)


def _mean(properties: dict[str, str], *names: str) -> float | None:
    try:
        numbers = [float(properties[name]) for name in names]
    except (KeyError, ValueError):
        return None
    mean = sum(numbers) / len(numbers)
    return mean if np.isfinite(mean) and mean > 0 else None


def _tile(properties: dict[str, str], level: int) -> Size | None:
    try:
        height, width = (
            int(properties[f"openslide.level[{level}].tile-{side}"]) for side in ("height", "width")
        )
    except (KeyError, ValueError):
        return None
    return Size(height, width) if min(height, width) > 0 else None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
