"""Files that cannot be read by windows, copied once to a temporary file that can."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from glnet.errors import RasterError
from glnet.geometry import Size, Window, strips
from glnet.raster.files import RasterFile
from glnet.raster.gdal import CACHE_BYTES
from glnet.raster.headers import is_refined_in_passes
from glnet.raster.protocol import Georeference, Masked, Raster, require_inside
from glnet.raster.tile_file import TILE_WIDTH, TileFile
from glnet.raster.views import RasterView

KEPT_BYTES = 1 << 26
"""Pictures that are decoded whole stay in memory up to this size."""

USUAL_PATCH_SIDE = 512

INTERLACED_BYTES = 100_000_000

RAW_DRIVERS = frozenset({"ENVI", "EHdr", "PNM", "RRASTER", "SNAP_TIFF"})
"""Formats whose rows need no decoding: reading them again costs little."""

LEAST_ROWS = 8
"""Damage in what is decoded from the top is found to so many rows, those of a JPEG's blocks."""

Progress = Callable[[int, int], None]
"""Told how many rows of how many are copied."""


class Access(StrEnum):
    """What reading a window means."""

    WINDOWS = "windows"
    """The blocks under it are decoded."""
    STRIPS = "strips"
    """All columns of its rows are decoded."""
    WHOLE = "whole"
    """The whole picture is decoded, once, and kept in memory."""


@dataclass(frozen=True)
class ReadingCost:
    """What it takes to read a file by windows.

    Attributes:
        access: What is decoded for a window.
        decoded_bytes: The whole picture in memory.
        decoder_bytes: About what the decoder keeps for itself while it goes through the file, even
            row by row: all of the picture or its coefficients, for progressive JPEG, interlaced
            PNG, WebP and GIF; 0 where it needs only rows.
        pays: Whether `spooled` copies it: it would take more than `KEPT_BYTES`, or the rows of a
            patch do not fit what GDAL keeps, so that they would be decoded for every patch again.
    """

    access: Access
    decoded_bytes: int
    decoder_bytes: int
    pays: bool


def reading_cost(raster: RasterFile, patch_side: int = USUAL_PATCH_SIDE) -> ReadingCost:
    """What it takes to read a file window by window; from its header alone.

    Args:
        raster: The file.
        patch_side: The rows of the windows that are to be read.
    """
    size, block = raster.stored_size, raster.stored_block
    decoded = size.area * raster.pixel_bytes
    if raster.decoded_bytes:
        pays = raster.decoded_bytes > KEPT_BYTES
        return ReadingCost(Access.WHOLE, decoded, _decoder_bytes(raster, decoded), pays)
    if block.width < size.width or raster.driver in RAW_DRIVERS:
        return ReadingCost(Access.WINDOWS, decoded, 0, pays=False)
    # A patch that does not begin with a strip lies in one more.
    rows = min(-(-patch_side // block.height) * block.height + block.height, size.height)
    patch_bytes = rows * size.width * raster.pixel_bytes
    is_wide = size.width > 2 * patch_side
    return ReadingCost(Access.STRIPS, decoded, 0, pays=is_wide and patch_bytes > CACHE_BYTES)


def _decoder_bytes(raster: RasterFile, decoded: int) -> int:
    if raster.driver in {"WEBP", "GIF"}:
        return decoded
    if not is_refined_in_passes(Path(raster.name), raster.driver):
        return 0
    # Coefficients have 16 bits; GDAL decodes as much of an interlaced PNG at once as fits 100 MB.
    return 2 * decoded if raster.driver == "JPEG" else min(decoded, INTERLACED_BYTES)


@contextmanager
def spooled(
    raster: RasterFile,
    folder: Path,
    progress: Progress | None = None,
    *,
    patch_side: int = USUAL_PATCH_SIDE,
    on_damage: Callable[[Window], None] | None = None,
) -> Iterator[Raster]:
    """A raster with the same pixels that is read by windows; the file itself where that is well.

    The file is decoded once from top to bottom, as it is stored, a few rows at a time. What is
    copied are the pixels that it gives: chosen bands, colours of a palette, and what is valid.

    Args:
        raster: An open file, which stays open.
        folder: Where a temporary file may lie, of the decoded size; gone when the block ends.
        progress: Told after every few rows.
        patch_side: The rows of the windows that are to be read.
        on_damage: Told what cannot be decoded, which is then no measurement; without it, an error.
            Where decoding goes only from top to bottom, that is all from the first damage on, and
            such a file is copied for it whatever its size: decoded at once, it would be lost whole.

    Raises:
        OutputError: If the folder has no room.
        RasterError: If the file is damaged, and nobody wants to be told.
    """
    cost = reading_cost(raster, patch_side)
    if not cost.pays and (on_damage is None or _is_whole(raster)):
        yield raster
        return
    has_mask = raster.has_mask or on_damage is not None
    tiles = TileFile(raster.stored_size, raster.bands, raster.dtype, has_mask, folder)
    try:
        _copy(raster, tiles, progress, on_damage)
        yield SpooledRaster(raster, tiles, has_mask)
    finally:
        tiles.close()


def _is_whole(raster: RasterFile) -> bool:
    """Whether a file that is decoded at once can be; others are looked at block by block."""
    if raster.decoded_bytes:
        try:
            raster.read_masked(Window(0, 0, Size(1, 1)))  # All is decoded for it, and kept.
        except RasterError:
            return False
    return True


class SpooledRaster(RasterView):
    """A file whose pixels have been copied to tiles; made by `spooled`."""

    raster: RasterFile

    def __init__(self, raster: RasterFile, tiles: TileFile, has_mask: bool) -> None:
        super().__init__(raster)
        self._tiles = tiles
        self._has_mask = has_mask

    @property
    def georeference(self) -> Georeference:
        """Where it lies on Earth: this stands for the file itself."""
        return self.raster.georeference

    @property
    def has_mask(self) -> bool:
        """Whether some pixels may be no measurements."""
        return self._has_mask

    @property
    def block(self) -> Size:
        """A tile of the copy, as displayed."""
        tile = Size(self._tiles.tile_height, TILE_WIDTH)
        return self.raster.orientation.displayed_size(tile)

    def read_masked(self, window: Window) -> Masked:
        """The pixels of a window, and which of them are measurements.

        Raises:
            GeometryError: If the window is not inside the raster.
            RasterError: If the temporary file cannot be read back.
        """
        require_inside(window, self)
        orientation = self.raster.orientation
        stored = self._tiles.read(orientation.stored_window(window, self.raster.stored_size))
        return orientation.display_masked(stored)


def _copy(
    raster: RasterFile,
    tiles: TileFile,
    progress: Progress | None,
    on_damage: Callable[[Window], None] | None,
) -> None:
    size = raster.stored_size
    for rows in strips(size, tiles.tile_height):
        try:
            found = raster.read_stored(rows)
        except RasterError:
            if on_damage is None:
                raise
            is_last = raster.decoded_bytes > 0
            above = _above_damage(raster, rows) if is_last else None
            kept = 0
            if above is not None:
                kept = above.pixels.shape[1]
                tiles.write(rows.row, above)
            height = (size.height - rows.row if is_last else rows.size.height) - kept
            lost = Window(rows.row + kept, 0, Size(height, size.width))
            on_damage(raster.orientation.displayed_window(lost, size))
            if is_last:
                break
        else:
            tiles.write(rows.row, found)
        if progress is not None:
            progress(rows.row_stop, size.height)


def _above_damage(raster: RasterFile, rows: Window) -> Masked | None:
    """What can be read of some rows where all that follow the first damage are lost."""
    found: list[Masked] = []
    # Opened anew: a decoder that has met damage goes on behind it, in grey, without an error.
    with raster.reopened() as file:
        for few in strips(rows.size, LEAST_ROWS):
            try:
                found.append(file.read_stored(few.moved(rows.row, 0)))
            except RasterError:
                break
    if not found:
        return None
    valid = [np.ones(of.pixels.shape[1:], bool) if of.valid is None else of.valid for of in found]
    return Masked(np.concatenate([of.pixels for of in found], axis=1), np.concatenate(valid))
