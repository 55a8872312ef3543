"""The demonstration: drawn scenes, three stages, a large map, and what each branch saw.

Some classes of the scenes can be told apart only by what lies far away, others only by structures
too fine for the thumbnail, so that neither branch alone can be right (`data/synthetic.py`).
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from glnet.data import (
    DatasetDescription,
    IndexEncoding,
    SceneSettings,
    open_labels,
    write_dataset,
    write_scene_geotiff,
)
from glnet.errors import OutputError
from glnet.evaluation.comparison import compare
from glnet.evaluation.evaluate import evaluate_folder
from glnet.evaluation.report import Evaluation
from glnet.geometry import Size
from glnet.inference.segment import segment_file
from glnet.inference.streaming import Settings
from glnet.model.config import Architecture, Framing
from glnet.raster import open_raster, write_picture
from glnet.training.config import (
    DataConfig,
    LossConfig,
    RunConfig,
    StageConfig,
    StagesConfig,
    TrainingConfig,
)
from glnet.training.progress import Report
from glnet.training.run import train

COUNTS = {"train": 16, "validation": 6}
SCENE_SIDE = 1024
LARGE_SIDE = 4096
LARGE_SCENE_SEED = 1000
"""Beyond the seeds of the scenes that train and validate."""


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration leaves.

    Attributes:
        evaluation: Of the global branch, the local branch and GLNet on unseen scenes.
        model: The trained model's folder.
        labels: Label map of the large scene, a georeferenced GeoTIFF.
        overlay: The large scene with its labels on top.
        comparison: Image, truth and the three answers side by side.
    """

    evaluation: Evaluation
    model: Path
    labels: Path
    overlay: Path
    comparison: Path

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        paths = {name: str(getattr(self, name)) for name in PARTS}
        return {**paths, **self.evaluation.to_dict()}


PARTS = ("model", "labels", "overlay", "comparison")


def run_demo(
    folder: Path,
    say: Callable[[str], None],
    report: Report,
    *,
    seed: int = 0,
    overwrite: bool = False,
) -> DemoResult:
    """Run the demonstration in a new folder.

    Args:
        folder: Must not exist, or be empty.
        say: Told what comes next.
        report: Told how training goes.
        seed: Of the scenes and the training.
        overwrite: Whether the result of an earlier demonstration is replaced.

    Raises:
        OutputError: If the folder has something in it or cannot be written.
    """
    _make_room(folder, overwrite=overwrite)
    say(f"drawing {sum(COUNTS.values())} scenes of {SCENE_SIDE}x{SCENE_SIDE}")
    settings = SceneSettings(size=Size(SCENE_SIDE, SCENE_SIDE))
    dataset = write_dataset(folder / "data", settings, COUNTS, seed)
    model = train(demo_config(folder, seed), report)
    running = Settings(patch_batch=16)
    say("evaluating the unseen scenes at full resolution")
    evaluation = evaluate_folder(
        model, folder / "data", "validation", running, report=folder / "report.json"
    )
    say(f"drawing and segmenting a georeferenced scene of {LARGE_SIDE}x{LARGE_SIDE}")
    scene, truth = folder / "scene.tif", folder / "scene_truth.tif"
    large = SceneSettings(size=Size(LARGE_SIDE, LARGE_SIDE))
    write_scene_geotiff(scene, truth, large, seed=seed + LARGE_SCENE_SEED)
    labels, overlay = folder / "scene_labels.tif", folder / "scene_overlay.png"
    segment_file(scene, labels, model, running, overlay=overlay)
    comparison = folder / "comparison.png"
    description = DatasetDescription(dataset.description.classes, IndexEncoding())
    with open_raster(scene) as raster, open_labels(truth, description) as known:
        write_picture(comparison, compare(model, raster, known, running))
    return DemoResult(evaluation, folder / "run" / "model", labels, overlay, comparison)


def _make_room(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder with something in it, or remove what an earlier demonstration left."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not overwrite:
        raise OutputError(f"{folder} exists and is not empty; choose another, or --overwrite")
    if not (folder / "data").is_dir() or not (folder / "run").is_dir():
        raise OutputError(f"{folder} is not an earlier demonstration; it is left as it is")
    shutil.rmtree(folder)


def demo_config(folder: Path, seed: int) -> TrainingConfig:
    """How the demonstration trains: small enough for two cores and a few minutes."""
    return TrainingConfig(
        data=DataConfig(folder=str(folder / "data")),
        output=str(folder / "run"),
        architecture=Architecture(backbone="resnet10t", fpn_width=32, refined_width=16),
        framing=Framing(patch_size=128, thumbnail_size=128, overlap=16),
        loss=LossConfig(gamma=2.0),
        stages=StagesConfig(
            context=StageConfig(epochs=40, learning_rate=1e-3, images=4, start="fresh"),
            local=StageConfig(epochs=10, learning_rate=1e-3, images=1, patches=16),
            refined=StageConfig(epochs=2, learning_rate=3e-4, images=1, patches=16),
        ),
        run=RunConfig(seed=seed, placement="random", patch_batch=16, device="cpu"),
    )
