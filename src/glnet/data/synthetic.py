"""Drawn scenes in which some classes need the near and others the far.

A scene has five classes. Terrain (0) is easy. Meadow (1) and orchard (2) have the same colours,
one in fine stripes and the other in fine checks that no thumbnail can show: only full-resolution
patches tell them apart. The two lakes (3, 4) are alike to the pixel; what they are called depends
on the country around them, red or blue, which begins only behind a wide neutral shore: only the
thumbnail tells them apart. Layout scales with the scene; texture and noise stay in pixels.

In woven scenes the red country is all meadow and the blue one all orchard. What the lakes there are
called is seen by neither branch alone, nor by a sum of the two: patches that see the ground must
tell the thumbnail, which spans from the ground to the lake.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glnet.data.classes import ClassInfo
from glnet.data.smooth_noise import SmoothNoise
from glnet.errors import ConfigurationError
from glnet.geometry import Size, Window, strips

SCENE_CLASSES = (
    ClassInfo("terrain", (150, 145, 135)),
    ClassInfo("meadow", (230, 190, 40)),
    ClassInfo("orchard", (40, 150, 60)),
    ClassInfo("lake in red country", (200, 40, 60)),
    ClassInfo("lake in blue country", (40, 80, 200)),
)
"""What the labels 0 to 4 of a scene mean."""

STRIP_HEIGHT = 256
"""Scenes are drawn in strips of this many rows; each has noise of its own."""

_LAKE_OFFSET = 0.25
_LAKE_RADIUS = 0.18
_SHORE = 0.15
"""Where lakes lie from the centre, how large they are, how far the country is, in scene sides."""

_FIELD_LENGTH = 0.33


class Cover(IntEnum):
    """What lies on the ground, which says more than the class: three covers are terrain."""

    NEUTRAL = 0
    RED_COUNTRY = 1
    BLUE_COUNTRY = 2
    MEADOW = 3
    ORCHARD = 4
    RED_LAKE = 5
    BLUE_LAKE = 6


_CLASS_OF_COVER = np.array([0, 0, 0, 1, 2, 3, 4], np.uint8)

_FIELD_COLOR = (165, 155, 85)
_LAKE_COLOR = (70, 125, 130)
_COLOR_OF_COVER = np.array(
    [
        (140, 132, 120),
        (205, 80, 70),
        (70, 95, 205),
        _FIELD_COLOR,
        _FIELD_COLOR,
        _LAKE_COLOR,
        _LAKE_COLOR,
    ],
    np.float32,
)


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """How scenes look.

    Attributes:
        size: Height and width, at least 64 pixels each.
        period: Pixels after which stripes and checks repeat; even. Averages over whole periods,
            such as 8 x 8 blocks for 4, hide them altogether.
        contrast: Half the brightness step between stripes.
        noise: Standard deviation of each pixel and band.
        woven: Share of the scenes whose countries differ by texture alone.

    Raises:
        ConfigurationError: If a value is out of its range.
    """

    size: Size = field(default_factory=lambda: Size(1024, 1024))
    period: int = 4
    contrast: float = 28.0
    noise: float = 6.0
    woven: float = 0.0

    def __post_init__(self) -> None:
        if min(self.size.height, self.size.width) < 64:
            raise ConfigurationError(f"a scene needs sides of at least 64 px, got {self.size}")
        if self.period < 2 or self.period % 2:
            raise ConfigurationError(f"period must be even and at least 2, got {self.period}")
        if self.contrast < 0 or self.noise < 0:
            raise ConfigurationError(
                f"contrast and noise cannot be negative, got {self.contrast} and {self.noise}"
            )
        if not 0 <= self.woven <= 1:
            raise ConfigurationError(f"woven is a share from 0 to 1, got {self.woven}")


class Scene(NamedTuple):
    """A drawn scene and its truth."""

    image: NDArray[np.uint8]
    """(3, height, width)."""
    labels: NDArray[np.uint8]
    """(height, width), indices of `SCENE_CLASSES`."""


class SceneStrip(NamedTuple):
    """Some full-width rows of a scene."""

    window: Window
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def make_scene(settings: SceneSettings, seed: int) -> Scene:
    """Draw a scene; the same seed gives the same pixels, and at any size the same layout.

    Raises:
        ConfigurationError: If the seed is negative.
    """
    drawn = list(scene_strips(settings, seed))
    return Scene(
        np.concatenate([strip.image for strip in drawn], axis=1),
        np.concatenate([strip.labels for strip in drawn]),
    )


def scene_strips(settings: SceneSettings, seed: int) -> Iterator[SceneStrip]:
    """Draw a scene from the top, some rows at a time, so that memory does not grow with it.

    Raises:
        ConfigurationError: If the seed is negative.
    """
    if seed < 0:
        raise ConfigurationError(f"a scene's seed must be at least 0, got {seed}")
    layout = _Layout.draw(np.random.default_rng(seed), settings.woven)
    for window in strips(settings.size, STRIP_HEIGHT):
        covers = layout.covers(settings.size, window)
        noise = np.random.default_rng([seed, 1 + window.row])
        colored = _paint(covers, settings, window, noise)
        colored += _shades(layout, settings.size, window, covers)
        image = np.clip(np.rint(colored), 0, 255).astype(np.uint8)
        yield SceneStrip(window, image, _CLASS_OF_COVER[covers])


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where everything lies, in scene sides, free of any pixel size."""

    angle: float
    """From the first lake to the second, in radians."""
    is_red_first: bool
    radii: tuple[float, float]
    field_start: float
    bends: SmoothNoise
    """(2, ...) shifts that bend every outline, widely."""
    frays: SmoothNoise
    """(2, ...) shifts that fray every outline, below what a thumbnail shows."""
    shades: SmoothNoise
    """(3, ...) the terrain's own light and dark."""
    is_woven: bool

    @classmethod
    def draw(cls, rng: np.random.Generator, woven: float) -> "_Layout":
        quarter_turns = rng.integers(4) * np.pi / 2
        return cls(
            # Along a diagonal, where the room is, but never quite.
            angle=float(quarter_turns + np.pi / 4 + rng.uniform(-0.2, 0.2)),
            is_red_first=bool(rng.integers(2)),
            radii=(_LAKE_RADIUS * rng.uniform(0.93, 1.07), _LAKE_RADIUS * rng.uniform(0.93, 1.07)),
            field_start=float(rng.uniform(-0.05, 0.05) + _FIELD_LENGTH * rng.integers(2)),
            bends=SmoothNoise.draw(rng, bands=2, cells=5, deviation=0.016),
            frays=SmoothNoise.draw(rng, bands=2, cells=64, deviation=0.006),
            shades=SmoothNoise.draw(rng, bands=3, cells=9, deviation=7.0),
            is_woven=bool(rng.random() < woven),  # Drawn last: the rest is the same for any share.
        )

    def covers(self, size: Size, window: Window) -> NDArray[np.uint8]:
        """What lies in a strip: (rows, columns) of `Cover`."""
        along, across = self._axes(size, window)
        from_lake = self._from_lake(along, across)
        is_red = (along < 0) == self.is_red_first
        is_field = np.abs(along) < 0.075 + 0.36 * across**2
        is_meadow = np.floor((across + self.field_start) / _FIELD_LENGTH) % 2 == 0
        # Each line paints over the lines before.
        red, blue = (
            (Cover.MEADOW, Cover.ORCHARD)
            if self.is_woven
            else (Cover.RED_COUNTRY, Cover.BLUE_COUNTRY)
        )
        covers = np.where(is_red, red, blue)
        covers = np.where(from_lake < _SHORE, Cover.NEUTRAL, covers)
        covers = np.where(is_field, np.where(is_meadow, Cover.MEADOW, Cover.ORCHARD), covers)
        lakes = np.where(is_red, Cover.RED_LAKE, Cover.BLUE_LAKE)
        return np.where(from_lake < 0, lakes, covers).astype(np.uint8)

    def _from_lake(
        self, along: NDArray[np.float32], across: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The distance from the nearer lake's bank, negative inside."""
        first = np.hypot(along + _LAKE_OFFSET, across) - self.radii[0]
        second = np.hypot(along - _LAKE_OFFSET, across) - self.radii[1]
        nearer: NDArray[np.float32] = np.minimum(first, second)
        return nearer

    def _axes(self, size: Size, window: Window) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Bent coordinates of every pixel from the centre: towards the lakes, and aside."""
        rows, columns = _centres(size, window)
        shifts = self.bends.sample(rows, columns) + self.frays.sample(rows, columns)
        down = rows[:, None] - 0.5 + shifts[0]
        right = columns[None, :] - 0.5 + shifts[1]
        cosine, sine = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        return cosine * down + sine * right, cosine * right - sine * down


def _centres(size: Size, window: Window) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pixel centres of a strip in scene sides, 0 to 1."""
    rows = (np.arange(window.row, window.row_stop) + 0.5) / size.height
    columns = (np.arange(size.width) + 0.5) / size.width
    return rows.astype(np.float32), columns.astype(np.float32)


def _shades(
    layout: _Layout, size: Size, window: Window, covers: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """(3, rows, columns) light and dark of the terrain; none on fields and lakes."""
    return layout.shades.sample(*_centres(size, window)) * (covers <= Cover.BLUE_COUNTRY)


def _paint(
    covers: NDArray[np.uint8], settings: SceneSettings, window: Window, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(3, rows, columns) colours with texture and noise."""
    half = settings.period // 2
    rows = np.arange(window.row, window.row_stop)[:, None] // half % 2
    columns = np.arange(window.size.width)[None, :] // half % 2
    # Meadows are striped along the rows, orchards checked; both are bright on half the pixels.
    is_bright = np.where(covers == Cover.ORCHARD, rows ^ columns, rows)
    texture = np.where(is_bright, settings.contrast, -settings.contrast).astype(np.float32)
    texture *= (covers == Cover.MEADOW) | (covers == Cover.ORCHARD)
    noise = rng.standard_normal((3, *covers.shape), np.float32) * np.float32(settings.noise)
    return _COLOR_OF_COVER.T[:, covers] + texture + noise
