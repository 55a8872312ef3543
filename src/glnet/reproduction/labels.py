"""Words beside points so that none lies on another: plain rectangles, nothing is drawn here."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

DIRECTIONS = tuple(math.radians(of) for of in (0, 180, 90, 270, 45, 135, 315, 225))
"""In which labels are tried first: right of the point, left, above, below, then the corners."""
STEPS = 60
"""How many distances are tried before the least bad place is taken."""


class Box(NamedTuple):
    """A rectangle, in any unit; y grows upwards."""

    left: float
    bottom: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """Its middle, (x, y)."""
        return self.left + self.width / 2, self.bottom + self.height / 2

    def shared(self, other: "Box") -> float:
        """The area that both cover."""
        width = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        height = min(self.bottom + self.height, other.bottom + other.height) - max(
            self.bottom, other.bottom
        )
        return max(0.0, width) * max(0.0, height)

    def holds(self, other: "Box") -> bool:
        """Whether the other lies in it, to a rounding error."""
        slack = 1e-6 * max(self.width, self.height)
        return (
            other.left >= self.left - slack
            and other.bottom >= self.bottom - slack
            and other.left + other.width <= self.left + self.width + slack
            and other.bottom + other.height <= self.bottom + self.height + slack
        )


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    *,
    radius: float,
    taken: Sequence[Box] = (),
) -> list[Box]:
    """Find a place for the label of every point, near it.

    One label after another takes the nearest place in the frame that is free of points, of other
    labels and of what is taken; the place that covers least of them where none is free.

    Args:
        points: (x, y) of each.
        sizes: (width, height) of the label of each.
        frame: Where labels must lie; labels larger than it are where they are.
        radius: Of the points' marks.
        taken: Places of other things.

    Returns:
        A box for each point, in their order.
    """
    marks = [Box(x - radius, y - radius, 2 * radius, 2 * radius) for x, y in points]
    obstacles = [*marks, *taken]
    placed = []
    for point, size in zip(points, sizes, strict=True):
        box = _best(point, size, frame, radius, obstacles)
        placed.append(box)
        obstacles.append(box)
    return placed


def along(line: Sequence[tuple[float, float]], side: float) -> list[Box]:
    """Squares along a line through points, so close that nothing passes between them."""
    squares = []
    for (x0, y0), (x1, y1) in itertools.pairwise(line):
        count = max(1, math.ceil(math.dist((x0, y0), (x1, y1)) / side))
        for k in range(count + 1):
            x, y = x0 + (x1 - x0) * k / count, y0 + (y1 - y0) * k / count
            squares.append(Box(x - side / 2, y - side / 2, side, side))
    return squares


def _best(
    point: tuple[float, float],
    size: tuple[float, float],
    frame: Box,
    radius: float,
    obstacles: Sequence[Box],
) -> Box:
    least, best = math.inf, _beside(point, size, 0.0, radius)
    for box in _candidates(point, size, radius):
        if not frame.holds(box):
            continue
        covered = sum(box.shared(other) for other in obstacles)
        if covered == 0:
            return box
        if covered < least:
            least, best = covered, box
    return best


def _candidates(
    point: tuple[float, float], size: tuple[float, float], radius: float
) -> Iterator[Box]:
    for step in range(STEPS):
        distance = radius * 1.3 + step * size[1] / 3
        # Far away there is more room between the eight directions.
        turns = DIRECTIONS if step < 3 else [k * math.pi / 12 for k in range(24)]
        for angle in turns:
            yield _beside(point, size, angle, distance)


def _beside(
    point: tuple[float, float], size: tuple[float, float], angle: float, distance: float
) -> Box:
    """The label whose nearest edge or corner lies in a direction, at a distance."""
    x, y = point[0] + distance * math.cos(angle), point[1] + distance * math.sin(angle)
    across, up = round(math.cos(angle), 6), round(math.sin(angle), 6)
    width, height = size
    return Box(x + width * (across - 1) / 2, y + height * (up - 1) / 2, width, height)
