"""Pictures whose pixels are indices into a table of colours."""

from enum import StrEnum

import numpy as np
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from glnet.raster.protocol import Pixels, Valid

Colors = dict[int, tuple[int, int, int]]
"""A colour table: (red, green, blue) in 0..255 of every index."""

EXPANDED_BANDS = 3
"""What a palette becomes: red, green, blue."""


class Palette(StrEnum):
    """What becomes of a picture whose pixels are indices into a colour table."""

    EXPAND = "expand"
    """Three bands: the red, green and blue of every pixel."""
    KEEP = "keep"
    """One band: the indices. `RasterFile.palette` has the colours."""


def color_table(dataset: DatasetReader) -> Colors | None:
    """The colour table of a file of one band, if it has one."""
    if dataset.count != 1 or dataset.dtypes[0] not in {"uint8", "uint16"}:
        return None
    if dataset.colorinterp[0] is not ColorInterp.palette:
        return None
    try:
        table = dataset.colormap(1)
    except ValueError:  # Called a palette by the file, which then has none.
        return None
    return {index: (red, green, blue) for index, (red, green, blue, _) in table.items()}


def lookup_table(palette: Colors) -> Pixels:
    """The colours of every possible index, (3, 256) or (3, 65536); black for those without."""
    table = np.zeros((EXPANDED_BANDS, _length(palette)), dtype=np.uint8)
    for index, color in palette.items():
        table[:, index] = color
    return table


def visible_indices(dataset: DatasetReader, palette: Colors) -> Valid | None:
    """Which indices have a colour that is not wholly transparent, (256,) or (65536,).

    None where all have, as in most files; and where none has: some formats leave opacity at 0.
    """
    clear = [index for index, (*_, opacity) in dataset.colormap(1).items() if opacity == 0]
    if not clear or len(clear) == len(palette):
        return None
    visible: Valid = np.ones(_length(palette), np.bool_)
    visible[clear] = False
    return visible


def _length(palette: Colors) -> int:
    """How many indices there may be."""
    return 65536 if max(palette) > 255 else 256
