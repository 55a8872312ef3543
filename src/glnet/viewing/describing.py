"""What the page is told of images, in plain values for JSON."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glnet.data.classes import ClassInfo
from glnet.data.colors import as_hex
from glnet.errors import OutputError
from glnet.geometry import Size, Window
from glnet.raster import Georeference, PixelAreas
from glnet.raster.areas import AreaBasis
from glnet.raster.writing.scores import SCORE_STEPS
from glnet.vector.placement import in_degrees
from glnet.viewing.encoding import NOTHING
from glnet.viewing.gallery import Known
from glnet.viewing.layers import (
    ERROR_COLORS,
    MISSED,
    RAMP,
    TOO_MUCH,
    WRONG,
    as_labels,
    as_steps,
    class_of,
)
from glnet.viewing.pyramid import TILE, zooms_of
from glnet.viewing.shown_image import ShownImage
from glnet.viewing.survey import Survey

Plain = dict[str, object]

MOST_BOXES = 10_000
"""More than these are not drawn."""

PIXEL = Size(1, 1)

EARTH_RADIUS_M = 6_371_008.8
"""The mean radius: good to half a per cent, as a scale bar needs it."""


def image_in_short(number: int, known: Known) -> Plain:
    """A line of the list of images."""
    counted = known.survey
    return {
        "number": number,
        "name": known.files.name,
        "version": known.version,
        "has_thumbnail": known.thumbnail is not None,
        "confidence": None if counted is None else counted.confidence,
        "score": None if counted is None else counted.score,
        "error": known.error,
        "is_done": known.is_done,
        "is_running": known.running is not None,
    }


def image_in_full(number: int, known: Known, image: ShownImage) -> Plain:
    """All that the page needs to show an image.

    Raises:
        RasterError: If a file cannot be read.
    """
    boxes = image.boxes()
    return {
        **image_in_short(number, known),
        "height": image.size.height,
        "width": image.size.width,
        "tile": TILE,
        "zooms": zooms_of(image.size),
        "metres_per_pixel": metres_per_pixel(image),
        "crs": _crs(image.georeference),
        "bands": image.picture.file.bands,
        "dtype": str(image.picture.file.dtype),
        "layers": layers_in_short(image),
        "classes": classes(image.classes),
        "survey": None if known.survey is None else survey_in_full(known.survey, image.classes),
        "boxes": [_sides(box) for box in boxes[:MOST_BOXES]],
        "boxes_left_out": max(0, len(boxes) - MOST_BOXES),
        "grids": [
            {
                **_sides(place),
                "rows": grid.rows,
                "columns": grid.columns,
                "patch": _pair(grid.patch),
            }
            for place, grid in image.grids
        ],
        "legend": {
            "errors": {
                "wrong": as_hex(ERROR_COLORS[WRONG]),
                "too_much": as_hex(ERROR_COLORS[TOO_MUCH]),
                "missed": as_hex(ERROR_COLORS[MISSED]),
            },
            "ramp": [as_hex(color) for color in RAMP],
        },
    }


def layers_in_short(image: ShownImage) -> list[Plain]:
    """The layers, with how far they are."""
    return [
        {
            "number": number,
            "kind": str(layer.kind),
            "name": layer.name,
            "revision": layer.revision,
            "progress": layer.progress,
            "classes": classes(layer.classes),
            "note": image.stretch.words if number == 0 else None,
        }
        for number, layer in enumerate(image.layers)
    ]


def classes(known: Sequence[ClassInfo]) -> list[Plain]:
    """Names and colours, by label."""
    return [_named(label, known) for label in range(len(known))]


def survey_in_full(counted: Survey, known: Sequence[ClassInfo]) -> Plain:
    """What was counted, also of values that are beyond the known classes."""
    seen = np.flatnonzero(counted.pixels)
    total = int(counted.pixels[:NOTHING].sum())
    metres = counted.square_metres
    overlaps = counted.overlaps
    return {
        "basis": counted.basis,
        "score": counted.score,
        "accuracy": counted.accuracy,
        "confidence": counted.confidence,
        "nodata_pixels": int(counted.pixels[NOTHING]),
        "classes": {
            int(label): {
                **_named(label, known),
                "pixels": int(counted.pixels[label]),
                "share": int(counted.pixels[label]) / max(1, total),
                "square_metres": None if metres is None else float(metres[label]),
                "iou": overlaps.get(int(label)),
            }
            for label in sorted({*seen.tolist(), *overlaps} - {NOTHING})
        },
    }


def pixel_in_full(image: ShownImage, row: int, column: int) -> Plain:
    """What is known of a pixel.

    Raises:
        RasterError: If a file cannot be read.
    """
    window = Window(row, column, PIXEL)
    answer: Plain = {"row": row, "column": column, **_on_earth(image.georeference, row, column)}
    found = image.picture.read(window)
    if found is not None:
        is_valid = found.valid is None or bool(found.valid[0, 0])
        answer["values"] = [_number(value) for value in found.pixels[:, 0, 0]] if is_valid else None
    answer["layers"] = {
        layer.name: _label(as_labels(part)[0, 0], layer.classes)
        for layer in image.layers
        if layer.kind in {"labels", "truth"} and (part := layer.sources[0].read(window)) is not None
    }
    if image.confidence is not None and (part := image.confidence.read(window)) is not None:
        answer["confidence"] = _share(int(as_steps(part)[0, 0]))
    if image.probabilities is not None and (part := image.probabilities.read(window)) is not None:
        steps = (
            as_steps(part._replace(pixels=part.pixels[band : band + 1]))
            for band in range(len(part.pixels))
        )
        answer["probabilities"] = [_share(int(of[0, 0])) for of in steps]
    return answer


def metres_per_pixel(image: ShownImage) -> float | None:
    """From a pixel to the next in the middle row of an image; None where that is not known."""
    if image.mpp is not None:
        return image.mpp * 1e-6
    return ground_step(image.georeference, image.size)


def ground_step(place: Georeference, size: Size) -> float | None:
    """Metres from the pixel in the middle of a raster to the next one of its row, if known."""
    middle = size.height // 2
    areas = PixelAreas(place, size)
    found = areas.row_areas(middle, middle + 1)
    if found is None or place.transform is None:
        return None
    if areas.basis is AreaBasis.PLANE:
        along = place.transform
        metres_per_unit = math.sqrt(found[0] / abs(along.determinant))
        return float(math.hypot(along.a, along.d) * metres_per_unit)
    row, column = size.height / 2, size.width / 2
    try:
        points = in_degrees(place).place(np.array([[column, row], [column + 1, row]]))
    except OutputError:  # Beyond what the projection knows.
        return None
    return _great_circle(*np.radians(points))


def _great_circle(here: NDArray[np.float64], there: NDArray[np.float64]) -> float:
    """Metres between two longitudes and latitudes in radians, on a sphere (haversine)."""
    across, up = np.sin((there - here) / 2)
    share = up**2 + np.cos(here[1]) * np.cos(there[1]) * across**2
    return float(2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(share)))


def _crs(place: Georeference) -> str | None:
    if place.crs is None or place.transform is None:
        return None
    text = str(place.crs.to_string())
    return text if len(text) <= 20 else "the map's own"


def _on_earth(place: Georeference, row: int, column: int) -> Plain:
    """The middle of a pixel on the map, and its longitude and latitude."""
    if place.transform is None:
        return {}
    x, y = place.transform @ (column + 0.5, row + 0.5)
    answer: Plain = {"map": [float(x), float(y)]}
    if place.crs is not None:
        try:
            points = in_degrees(place).place(np.array([[column + 0.5, row + 0.5]]))
        except OutputError:  # Beyond what the projection knows.
            return answer
        answer["degrees"] = [float(value) for value in points[0]]
    return answer


def _label(value: np.uint8, known: Sequence[ClassInfo]) -> Plain:
    label = int(value)
    if label == NOTHING:
        return {"label": None, "name": "no data", "color": None}
    return _named(label, known)


def _named(label: int, known: Sequence[ClassInfo]) -> Plain:
    info = class_of(label, known)
    return {"label": label, "name": info.name, "color": as_hex(info.color)}


def _share(steps: int) -> float | None:
    return None if steps == NOTHING else steps / SCORE_STEPS


def _number(value: np.generic) -> float | int | None:
    plain = value.item()
    return plain if math.isfinite(plain) else None


def _sides(window: Window) -> Plain:
    return {
        "row": window.row,
        "column": window.column,
        "height": window.size.height,
        "width": window.size.width,
    }


def _pair(size: Size) -> list[int]:
    return [size.height, size.width]
