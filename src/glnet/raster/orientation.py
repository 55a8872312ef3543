"""How a stored picture is turned before it is displayed: the eight EXIF orientations.

Cameras store pixels in the order the sensor delivers them and note how the camera was held.
Everything in glnet speaks of the displayed picture; only this file and `files` know of the other.
"""

from dataclasses import dataclass

import numpy as np
from affine import Affine

from glnet.geometry import Size, Window
from glnet.raster.protocol import Masked, Pixels

Coordinates = tuple[float, float]
"""x and y in some coordinate system."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """Flips of the stored picture, then perhaps a swap of rows and columns, give the displayed."""

    flips_rows: bool = False
    flips_columns: bool = False
    is_transposed: bool = False

    def displayed_size(self, stored: Size) -> Size:
        """The size of the displayed picture."""
        return Size(stored.width, stored.height) if self.is_transposed else stored

    def stored_window(self, window: Window, stored: Size) -> Window:
        """The stored pixels that a window of the displayed picture shows.

        Args:
            window: In displayed coordinates, inside the picture.
            stored: The size of the stored picture.
        """
        row, column, size = window.row, window.column, window.size
        if self.is_transposed:
            row, column, size = column, row, Size(size.width, size.height)
        if self.flips_rows:
            row = stored.height - row - size.height
        if self.flips_columns:
            column = stored.width - column - size.width
        return Window(row, column, size)

    def displayed_window(self, window: Window, stored: Size) -> Window:
        """Where a window of the stored picture lies in the displayed one.

        Args:
            window: In stored coordinates, inside the picture.
            stored: The size of the stored picture.
        """
        row, column, size = window.row, window.column, window.size
        if self.flips_rows:
            row = stored.height - window.row_stop
        if self.flips_columns:
            column = stored.width - window.column_stop
        if self.is_transposed:
            return Window(column, row, Size(size.width, size.height))
        return Window(row, column, size)

    def display(self, pixels: Pixels) -> Pixels:
        """Turn stored pixels (bands, height, width) as displayed, without a copy."""
        rows = slice(None, None, -1 if self.flips_rows else 1)
        columns = slice(None, None, -1 if self.flips_columns else 1)
        turned = pixels[:, rows, columns]
        return np.swapaxes(turned, 1, 2) if self.is_transposed else turned

    def display_masked(self, stored: Masked) -> Masked:
        """Turn stored pixels and what is valid as displayed, both contiguous."""
        pixels = np.ascontiguousarray(self.display(stored.pixels))
        if stored.valid is None:
            return Masked(pixels, None)
        return Masked(pixels, np.ascontiguousarray(self.display(stored.valid[None])[0]))

    def displayed_point(self, row: float, column: float, stored: Size) -> tuple[float, float]:
        """Where a (row, column) of the stored picture lies in the displayed one."""
        if self.flips_rows:
            row = stored.height - row
        if self.flips_columns:
            column = stored.width - column
        return (column, row) if self.is_transposed else (row, column)

    def displayed_transform(self, transform: Affine, stored: Size) -> Affine:
        """Make a transform of stored (column, row) into one of displayed (column, row)."""
        # Written out: affine spells the product * before version 3 and @ from it on.
        columns, rows = (transform.a, transform.d), (transform.b, transform.e)
        origin = (transform.c, transform.f)
        if self.flips_columns:
            origin = _along(origin, columns, stored.width)
            columns = (-columns[0], -columns[1])
        if self.flips_rows:
            origin = _along(origin, rows, stored.height)
            rows = (-rows[0], -rows[1])
        if self.is_transposed:
            columns, rows = rows, columns
        return Affine(columns[0], rows[0], origin[0], columns[1], rows[1], origin[1])


def _along(point: Coordinates, step: Coordinates, times: int) -> Coordinates:
    return point[0] + step[0] * times, point[1] + step[1] * times


UPRIGHT = Orientation()

EXIF_ORIENTATIONS = {
    1: UPRIGHT,
    2: Orientation(flips_columns=True),
    3: Orientation(flips_rows=True, flips_columns=True),
    4: Orientation(flips_rows=True),
    5: Orientation(is_transposed=True),
    6: Orientation(flips_rows=True, is_transposed=True),
    7: Orientation(flips_rows=True, flips_columns=True, is_transposed=True),
    8: Orientation(flips_columns=True, is_transposed=True),
}
"""By the value of EXIF tag 274 (TIFF 6.0, section 8, "Orientation")."""


def exif_orientation(value: object) -> Orientation:
    """The orientation that an EXIF value names; upright for any other value, as viewers do."""
    return EXIF_ORIENTATIONS.get(value, UPRIGHT) if isinstance(value, int) else UPRIGHT
