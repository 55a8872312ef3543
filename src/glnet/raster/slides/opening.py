"""Scanned slides: pyramids of the same picture at several sizes, as microscopes write them."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from glnet.closing import Closing
from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster.block_means import masked_reduced
from glnet.raster.protocol import Blocked, Georeference, Masked, Raster, require_inside
from glnet.raster.slides.ome import OmePyramid, is_ome
from glnet.raster.slides.pyramids import Pyramid
from glnet.raster.slides.scanned import ScannedPyramid
from glnet.raster.views import RasterView

SUFFIXES = frozenset({".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi"})
"""What slides are called: asked only where OpenSlide is not installed."""

FINER_SHARE = 0.99
"""How much finer than the slide somebody may ask for; scanners round, too."""


class SlideRaster(RasterView, Closing):
    """A slide at one of its levels, or at a whole part of one; made by `open_slide`.

    A context manager. Coarser levels serve as overviews, for thumbnails. A slide lies nowhere on
    Earth, but its pixels have a size. Not to be shared by threads or processes: each opens its own.

    Args:
        pyramid: The open file; closed with this.
        level: Which level is read.
        factor: The side of the blocks of its pixels whose mean is one pixel here.
    """

    def __init__(self, pyramid: Pyramid, level: int, factor: int = 1) -> None:
        super().__init__(pyramid.level(level))
        self._pyramid, self._level, self._factor = pyramid, level, factor

    @property
    def size(self) -> Size:
        """Height and width in pixels; blocks at the lower right may be partial."""
        size = self.raster.size
        return Size(-(-size.height // self._factor), -(-size.width // self._factor))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number type of the pixels: means are floats, unless they are of bytes."""
        is_kept = self._factor == 1 or self.raster.dtype == np.uint8
        return self.raster.dtype if is_kept else np.dtype(np.float32)

    @property
    def block(self) -> Size:
        """What is decoded together."""
        block = self.raster.block if isinstance(self.raster, Blocked) else self.raster.size
        return Size(max(1, block.height // self._factor), max(1, block.width // self._factor))

    @property
    def downsample(self) -> float:
        """How many pixels of the largest level one pixel covers, along a side."""
        return _downsample(self._pyramid.sizes, self._level) * self._factor

    @property
    def mpp(self) -> float | None:
        """Micrometres per pixel, if the slide says."""
        return None if self._pyramid.mpp is None else self._pyramid.mpp * self.downsample

    @property
    def georeference(self) -> Georeference:
        """Nowhere on Earth: how large a pixel is, if the slide says."""
        return Georeference(mpp=self.mpp)

    @property
    def level(self) -> int:
        """The level that is read, 0 for the largest."""
        return self._level

    @property
    def levels(self) -> Sequence[Size]:
        """The sizes of all levels of the slide."""
        return self._pyramid.sizes

    @property
    def overviews(self) -> Sequence[int]:
        """How many times smaller the coarser levels are, about."""
        return [round(self.size.height / size.height) for _, size in self._coarser()]

    @contextmanager
    def overview(self, number: int) -> Iterator[Raster]:
        """One of the coarser levels, by its place in `overviews`."""
        yield self._pyramid.level(self._coarser()[number][0])

    def read_masked(self, window: Window) -> Masked:
        """The pixels of a window, and which of them the scanner has seen.

        Raises:
            GeometryError: If the window is not inside the slide.
            RasterError: If the pixels cannot be read.
        """
        require_inside(window, self)
        factor, size = self._factor, self.raster.size
        row, column = window.row * factor, window.column * factor
        height = min(window.size.height * factor, size.height - row)
        width = min(window.size.width * factor, size.width - column)
        return masked_reduced(self.raster, Window(row, column, Size(height, width)), factor)

    def close(self) -> None:
        """Close the file. Closing twice is no error."""
        self._pyramid.close()

    def _coarser(self) -> list[tuple[int, Size]]:
        levels = list(enumerate(self._pyramid.sizes))[self._level + 1 :]
        return [(at, of) for at, of in levels if 2 * of.height <= self.size.height]


def open_slide(
    path: str | Path,
    level: int = 0,
    mpp: float | None = None,
    bands: Sequence[int] | None = None,
) -> SlideRaster:
    """Open a slide: SVS, NDPI, MRXS, SCN, BIF, pyramidal TIFF by OpenSlide, OME-TIFF by GDAL.

    Both hold a bounded number of decoded tiles. OpenSlide gives red, green and blue of 8 bits;
    OME-TIFF gives the file's channels in its number type.

    Args:
        path: The file.
        level: Which of its levels, 0 for the largest; left out where ``mpp`` is given.
        mpp: The wanted micrometres per pixel. The nearest finer level is read, and means of blocks
            of whole pixels of it bring it as near as whole numbers can; `SlideRaster.mpp` tells
            how near that is.
        bands: Which channels, counted from 1, in which order; all by default.

    Raises:
        RasterError: If it is no slide, is damaged, has no such level or channel, does not say its
            micrometres per pixel though ``mpp`` is given, is coarser or smaller than that, or a
            library is missing.
    """
    pyramid = _open(Path(path), bands)
    try:
        if mpp is not None:
            return SlideRaster(pyramid, *_level_for(pyramid, mpp))
        if not 0 <= level < len(pyramid.sizes):
            sizes = ", ".join(f"{at}: {size}" for at, size in enumerate(pyramid.sizes))
            raise RasterError(f"{path} has no level {level}; it has {sizes}")
        return SlideRaster(pyramid, level)
    except BaseException:
        pyramid.close()
        raise


def is_slide(path: str | Path) -> bool:
    """Whether `open_slide` is the way to open a file: a scanner's format, or OME-TIFF.

    Told by the content. A TIFF without anything of a scanner in it is none, though `open_slide`
    takes it where it has tiles: `open_raster` reads it as well, overviews included. Where OpenSlide
    is not installed, the suffix decides, so that `open_slide` can say what is missing.
    """
    path = Path(path)
    if not path.is_file():
        return False
    if is_ome(path):
        return True
    try:
        openslide = importlib.import_module("openslide")
    except ImportError:
        return path.suffix.lower() in SUFFIXES
    return openslide.OpenSlide.detect_format(str(path)) not in {None, "generic-tiff"}


def _open(path: Path, bands: Sequence[int] | None) -> Pyramid:
    if not path.is_file():
        raise RasterError(f"{path} is no file; expected a slide")
    return OmePyramid(path, bands) if is_ome(path) else ScannedPyramid(path, bands)


def _level_for(pyramid: Pyramid, mpp: float) -> tuple[int, int]:
    """The level and the side of its blocks that come nearest to micrometres per pixel."""
    if pyramid.mpp is None:
        raise RasterError(
            f"{pyramid.name} does not say how many micrometres a pixel has; choose a level instead"
        )
    wanted = mpp / pyramid.mpp
    if wanted < FINER_SHARE:
        raise RasterError(
            f"{pyramid.name} has {pyramid.mpp:.4g} micrometres per pixel at its finest, not the "
            f"{mpp:.4g} that are wanted; ask for as many or more"
        )
    downsamples = [_downsample(pyramid.sizes, at) for at in range(len(pyramid.sizes))]
    # Levels are seldom whole parts to the last pixel: 4.0002 serves for 4.
    level = max(at for at, of in enumerate(downsamples) if of * FINER_SHARE <= wanted)
    factor = max(1, round(wanted / downsamples[level]))
    if factor > min(pyramid.sizes[level].height, pyramid.sizes[level].width):
        raise RasterError(
            f"{pyramid.name} has {pyramid.sizes[0]} pixels of {pyramid.mpp:.4g} micrometres, which "
            f"is less than one of the {mpp:.4g} that are wanted; ask for fewer"
        )
    return level, factor


def _downsample(sizes: Sequence[Size], level: int) -> float:
    largest, of = sizes[0], sizes[level]
    return (largest.height / of.height + largest.width / of.width) / 2
