"""A drawn scene on disk with all that may lie on it, and the arrays that it was made of."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glnet.data import SCENE_CLASSES, SceneSettings, make_scene
from glnet.data.scene_files import SCENE_GEOREFERENCE
from glnet.geometry import Size, Window
from glnet.raster import LabelWriter, ScoreWriter, image_writer
from glnet.vector import boxes_as_geojson, write_boxes

Bytes = NDArray[np.uint8]

NAMES = [info.name for info in SCENE_CLASSES]
COLORS = [info.color for info in SCENE_CLASSES]


@dataclass(frozen=True, eq=False)
class Drawn:
    """Files, and what is in them."""

    folder: Path
    pixels: Bytes
    """(3, height, width)."""
    truth: Bytes
    labels: Bytes
    confidence: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    box: Window

    @property
    def image(self) -> Path:
        return self.folder / "scene.tif"

    @property
    def label_file(self) -> Path:
        return self.folder / "found" / "scene.tif"

    @property
    def truth_file(self) -> Path:
        return self.folder / "truth.tif"


def draw_files(folder: Path, size: Size, seed: int = 0) -> Drawn:
    """An image, a label map with errors, how sure it is, the truth, and a box."""
    scene = make_scene(SceneSettings(size=size), seed)
    rng = np.random.default_rng(seed)
    labels = scene.labels.copy()
    for _ in range(12):  # Squares of another class.
        row, column = rng.integers(0, size.height), rng.integers(0, size.width)
        labels[row : row + size.height // 9, column : column + size.width // 9] = rng.integers(
            0, len(NAMES)
        )
    labels[: size.height // 20, : size.width // 20] = 255
    rows, columns = np.mgrid[: size.height, : size.width].astype(np.float32)
    confidence = (0.5 + 0.5 * np.cos(rows / 90) * np.sin(columns / 130) ** 2).astype(np.float32)
    others = (1 - confidence) / (len(NAMES) - 1)
    probabilities = np.stack(
        [np.where(labels == label, confidence, others) for label in range(len(NAMES))]
    ).astype(np.float32)
    box = Window(size.height // 4, size.width // 4, Size(size.height // 2, size.width // 3))
    drawn = Drawn(folder, scene.image, scene.labels, labels, confidence, probabilities, box)
    _write(drawn, size)
    return drawn


def _write(drawn: Drawn, size: Size) -> None:
    (drawn.folder / "found").mkdir(parents=True)
    place = SCENE_GEOREFERENCE
    with image_writer(drawn.image, size, place) as write:
        write(Window(0, 0, size), drawn.pixels)
    for path, labels in ((drawn.label_file, drawn.labels), (drawn.truth_file, drawn.truth)):
        with LabelWriter(path, size, place, COLORS, NAMES, 255) as labelled:
            labelled.write(labels)
    scores = {"confidence": drawn.confidence[np.newaxis], "probabilities": drawn.probabilities}
    for what, values in scores.items():
        path = drawn.label_file.with_name(f"scene_{what}.tif")
        with ScoreWriter(path, size, place, [f"{at}" for at in range(len(values))]) as scored:
            scored.write(values, drawn.labels != 255)
    boxes = boxes_as_geojson([drawn.box], place)
    write_boxes(drawn.label_file.with_name("scene_boxes.geojson"), boxes)
