"""The boxes of coarse-to-fine segmentation, read back from their GeoJSON."""

import json
from pathlib import Path

from glnet.errors import RasterError
from glnet.geometry import Size, Window

MOST_BYTES = 1 << 26
"""Of a file; `glnet segment --boxes` takes some hundred bytes for a box."""

SIDES = ("row", "column", "height", "width")


def read_boxes(path: Path, raster: Size) -> tuple[Window, ...]:
    """The windows in a file that `glnet.vector.write_boxes` has written.

    Raises:
        RasterError: If it is no such file, or a box does not lie in the raster.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RasterError(f"{path} is over {MOST_BYTES >> 20} MiB; expected some boxes")
        features = json.loads(path.read_text(encoding="utf-8"))["features"]
        windows = tuple(_window(feature["properties"]) for feature in features)
    except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        if isinstance(error, RasterError):
            raise
        raise RasterError(
            f"{path} holds no boxes as glnet segment --boxes writes: {error}"
        ) from error
    for window in windows:
        if not window.is_inside(raster):
            raise RasterError(
                f"{path} has a box at row {window.row}, column {window.column} of {window.size}, "
                f"beyond its image of {raster}; it belongs to another image"
            )
    return windows


def _window(properties: dict[str, object]) -> Window:
    row, column, height, width = (properties[side] for side in SIDES)
    for value in (row, column, height, width):
        if type(value) is not int:
            raise TypeError(f"a box has whole numbers, got {value!r}")
    assert isinstance(row, int)
    assert isinstance(column, int)
    assert isinstance(height, int)
    assert isinstance(width, int)
    return Window(row, column, Size(height, width))
