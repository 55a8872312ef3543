"""Words at the points of a chart."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glnet.reproduction.labels import Box, along, place_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

FONT = 9.0
MARK = 7.0
"""Points (of 1/72 inch) of a mark."""


def annotate(
    axes: "Axes",
    places: Sequence[tuple[float, float]],
    words: Sequence[str],
    inks: Sequence[str],
    lines: Sequence[Sequence[tuple[float, float]]] = (),
) -> None:
    """Write words beside points, none on another or on a line; those far away get a thin line.

    Args:
        axes: Whose scales and place in the figure are final.
        places: (x, y) of the points, in the axes' own numbers.
        words: Of each.
        inks: The colour of each.
        lines: What else is drawn: points (x, y) along it.
    """
    figure = axes.figure
    figure.canvas.draw()  # Extents are known only now.
    dot = figure.dpi / 72
    pixels = _in_pixels(axes, places)
    texts = [
        axes.text(0, 0, word, fontsize=FONT - 1, color=ink, zorder=5)
        for word, ink in zip(words, inks, strict=True)
    ]
    extents = [text.get_window_extent() for text in texts]
    inside = axes.get_window_extent()
    boxes = place_labels(
        pixels,
        [(extent.width + 2 * dot, extent.height + dot) for extent in extents],
        Box(inside.x0, inside.y0, inside.width, inside.height),
        radius=0.62 * MARK * dot,
        taken=[box for line in lines for box in along(_in_pixels(axes, line), 2 * dot)],
    )
    for text, box, point in zip(texts, boxes, pixels, strict=True):
        _move(axes, text, box, point, far=2 * MARK * dot)


def _in_pixels(axes: "Axes", places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (axes.transData.transform(place) for place in places)]


def _move(axes: "Axes", text: "Text", box: Box, point: tuple[float, float], far: float) -> None:
    back = axes.transData.inverted()
    x, y = back.transform(box.centre)
    text.set_position((float(x), float(y)))
    text.set_horizontalalignment("center")
    text.set_verticalalignment("center")
    nearest = (
        min(max(point[0], box.left), box.left + box.width),
        min(max(point[1], box.bottom), box.bottom + box.height),
    )
    if (nearest[0] - point[0]) ** 2 + (nearest[1] - point[1]) ** 2 > far**2:
        (x0, y0), (x1, y1) = back.transform(point), back.transform(nearest)
        axes.plot([x0, x1], [y0, y1], color="0.7", linewidth=0.6, zorder=1)
